"""Reads what uses an image or depends on it, and rejects removals and changes for it, as blocking calls.

The header shows in one read that most images have neither snapshots nor a group, which saves the calls for them.
"""

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioner.ceph import cls_rbd, directory, mirroring
from provisioner.ceph.bindings import rbd
from provisioner.ceph.errors import CephError, InUse, clone_path, first_names, image_errors, pool_label, pool_path

_SNAPSHOT, _GROUP, _FEATURES, _OPERATIONS = "snapshot_", "rbd_group_ref", "features", "op_features"
_MIGRATING = 512
_KNOWN_OPERATIONS = 0b1111
"""Parents and children of clones, groups, deleted snapshots with clones. librbd changes no image with other bits."""
_MOST_KEYS = 1000

USER, GROUP, TRASH, MIRROR = range(4)
"""librbd's kinds of snapshots: of users, of a group, deleted but still needed by clones, of mirroring."""


@dataclass(frozen=True, slots=True)
class Dependents:
    watchers: tuple[str, ...] = ()
    """Addresses of the clients that have the image open."""
    children: tuple[str, ...] = ()
    """Clones, as pool/[namespace/]image, including those of deleted snapshots."""
    snapshots: tuple[str, ...] = ()
    """Names of user snapshots."""
    protected: tuple[str, ...] = ()
    """Names of protected user snapshots."""
    group_snapshots: tuple[str, ...] = ()
    """As pool/group@snapshot."""
    unknown_snapshots: tuple[str, ...] = ()
    """Names of snapshots of unknown kinds. Those of mirroring are in no list: Ceph removes them with the image."""
    group: str | None = None
    """As pool/[namespace/]group."""
    migrating: bool = False
    demoted: bool = False
    """The image is mirrored and not primary."""
    operations: int = 0
    """Bits of op features that this release of Ceph does not know."""


def removal_blockers(path: str, dependents: Dependents, options: str = "") -> list[str]:
    """The reasons why the image cannot be removed, each with the way out. Pure: no I/O.

    `options`: the options of `rbd` for an image in the trash, which has no path.
    """
    found = []
    if dependents.children:
        found.append(f"clones depend on it: {first_names(dependents.children)}; flatten or delete them first")
    if dependents.snapshots:
        unprotect = " after rbd snap unprotect" if dependents.protected else ""
        found.append(
            f"it has snapshots: {first_names(dependents.snapshots)}; delete them first (rbd snap rm{unprotect})"
        )
    if dependents.group_snapshots:
        first, names = dependents.group_snapshots[0], first_names(dependents.group_snapshots)
        found.append(f"it has snapshots of a group: {names}; delete them first (rbd group snap rm {first})")
    if dependents.unknown_snapshots:
        names = first_names(dependents.unknown_snapshots)
        found.append(
            f"it has snapshots of a kind that this release of Ceph does not know: {names}; use a newer release"
        )
    if dependents.group:
        command = f"rbd group image rm {dependents.group} {options or path}"
        found.append(f"it is a member of group {dependents.group}; remove it from the group first ({command})")
    return [*found, *change_blockers(path, dependents)]


def change_blockers(path: str, dependents: Dependents) -> list[str]:
    """The reasons why librbd would not roll back or shrink the image. Pure: no I/O."""
    in_use = (
        [f"it is in use at {first_names(dependents.watchers)}; unmap it there first"] if dependents.watchers else []
    )
    return [*write_blockers(path, dependents), *in_use]


def write_blockers(path: str, dependents: Dependents) -> list[str]:
    """The reasons why librbd would not change the image at all. Pure: no I/O."""
    found = []
    if dependents.migrating:
        found.append(
            f"it is being migrated; finish the migration first (rbd migration execute and rbd migration commit {path}, "
            f"or rbd migration abort {path})"
        )
    if dependents.demoted:
        found.append(
            "it is mirrored and not primary: change it at its primary site, or end the mirroring first "
            f"(rbd mirror image promote --force {path}, then rbd mirror image disable {path})"
        )
    if dependents.operations:
        found.append(f"only a newer release of Ceph can change it (op features {dependents.operations:#x})")
    return found


def require_removable(ioctx: Any, identifier: str, target: str, name: str | None = None) -> None:
    """Raises InUse with everything that prevents a removal. `name`: None for an image in the trash."""
    _require_unblocked(ioctx, identifier, target, name, everything=True)


def require_changeable(ioctx: Any, identifier: str, target: str, name: str) -> None:
    """Raises InUse if librbd would not roll back or shrink the image."""
    _require_unblocked(ioctx, identifier, target, name, everything=False)


@contextlib.contextmanager
def explained_refusal(ioctx: Any, identifier: str, target: str, name: str) -> Iterator[None]:
    """Adds the reason to an error of librbd that the state of the image may have caused."""
    try:
        yield
    except CephError as error:
        if error.code in {errno.EROFS, errno.EINVAL}:
            path = f"{pool_path(ioctx)}/{name}"
            if found := write_blockers(path, read(ioctx, identifier, target)):
                raise InUse(f"{target} is unchanged: {'. Also, '.join(found)}", code=errno.EROFS) from error
        raise


def _require_unblocked(ioctx: Any, identifier: str, target: str, name: str | None, *, everything: bool) -> None:
    dependents = read(ioctx, identifier, target)
    namespace = f" --image-namespace {ioctx.get_namespace()}" if ioctx.get_namespace() else ""
    options = f"--image-pool {pool_label(ioctx)}{namespace} --image-id {identifier}" if name is None else ""
    path = f"{pool_path(ioctx)}/{name or 'IMAGE'}"
    found = removal_blockers(path, dependents, options) if everything else change_blockers(path, dependents)
    if found:
        tied = dependents.children or dependents.snapshots or dependents.group_snapshots
        code = errno.ENOTEMPTY if everything and tied else errno.EBUSY
        raise InUse(f"{target} is kept: {'. Also, '.join(found)}", code=code)


def read(ioctx: Any, identifier: str, target: str) -> Dependents:
    """Opens the image, in the trash or outside of it. Raises ImageMissing."""
    header = dict(directory.read_omap(ioctx, cls_rbd.HEADER_PREFIX + identifier, "", "", _MOST_KEYS))
    features, operations = (int.from_bytes(header.get(key, b""), "little") for key in (_FEATURES, _OPERATIONS))
    full = len(header) == _MOST_KEYS or _GROUP in header or any(key.startswith(_SNAPSHOT) for key in header)
    # Read-only: opened for writing, Sutler itself would be a watcher.
    with (
        image_errors("opening", target),
        rbd.Image(ioctx, image_id=identifier, read_only=True) as opened,
    ):
        mirrored = mirroring.read(ioctx, opened, identifier)
        return Dependents(
            watchers=tuple(watcher["addr"] for watcher in opened.watchers_list()),
            migrating=bool(features & _MIGRATING),
            demoted=mirrored is not None and not mirrored.primary,
            operations=operations & ~_KNOWN_OPERATIONS,
            **_read_snapshots_and_group(ioctx, opened) if full else {},
        )


def _read_snapshots_and_group(ioctx: Any, opened: Any) -> dict[str, Any]:
    by_kind: dict[int, list[Any]] = {}
    for snapshot in opened.list_snaps():
        by_kind.setdefault(snapshot["namespace"], []).append(snapshot)
    by_people = tuple(snapshot["name"] for snapshot in by_kind.get(USER, ()))
    by_groups = [snapshot["group"] for snapshot in by_kind.get(GROUP, ())]
    known = {USER, GROUP, TRASH, MIRROR}
    group = opened.group()
    return {
        "children": tuple(clone_path(child) for child in opened.list_children2()) if by_kind else (),
        "snapshots": by_people,
        "protected": tuple(name for name in by_people if opened.is_protected_snap(name)),
        "group_snapshots": tuple(f"{_group_path(ioctx, one)}@{one['snap_name']}" for one in by_groups),
        "unknown_snapshots": tuple(s["name"] for kind, found in by_kind.items() if kind not in known for s in found),
        "group": _group_path(ioctx, group) if group["name"] else None,
    }


def _group_path(ioctx: Any, found: Any) -> str:
    """pool/[namespace/]group; librbd returns only the number of another pool."""
    pool = pool_path(ioctx) if found["pool"] == ioctx.get_pool_id() else f"(pool {found['pool']})"
    return f"{pool}/{found['name']}"
