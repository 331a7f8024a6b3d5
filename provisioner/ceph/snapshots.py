"""Lists, creates, protects, deletes, rolls back to and clones snapshots, as blocking calls."""

import contextlib
import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provisioner.ceph import data_removal, dependents, directory
from provisioner.ceph.bindings import rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.editing import Guard, require_unchanged
from provisioner.ceph.errors import (
    CephError,
    ImageTaken,
    InUse,
    InvalidArgument,
    Missing,
    clone_path,
    first_names,
    image_errors,
    image_label,
    translated,
)
from provisioner.ceph.format1 import require_no_format1_image
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.interrupted import InterruptedWork, mark_held
from provisioner.ceph.model import ImageSpec

_LIBRBD = rbd.RBD()
_KINDS = ("user", "group", "trash", "mirror")
"""By librbd's number: of users, of a group, deleted but needed by clones, of mirroring."""


class SnapshotMissing(Missing):
    pass


class SnapshotTaken(ImageTaken):
    pass


@dataclass(frozen=True, slots=True)
class RbdSnapshot:
    name: str
    id: int
    size: int
    created: datetime
    protected: bool
    children: tuple[str, ...]
    """Clones, as pool/[namespace/]image."""


@dataclass(frozen=True, slots=True)
class OtherSnapshot:
    """A snapshot that no user created, and that cannot be changed by its name."""

    name: str
    id: int
    kind: str
    """group, trash or mirror"""


def list_snapshots(ioctx: Any, name: str) -> list[RbdSnapshot]:
    directory.get_header(ioctx, name)
    with (
        image_errors("listing", f"the snapshots of {image_label(ioctx, name)}"),
        rbd.Image(ioctx, name, read_only=True) as opened,
    ):
        return read_snapshots(opened)


def read_snapshots(opened: Any) -> list[RbdSnapshot]:
    found = [snapshot for snapshot in opened.list_snaps() if _kind(snapshot) == "user"]
    return [
        RbdSnapshot(
            name=snapshot["name"],
            id=snapshot["id"],
            size=snapshot["size"],
            created=opened.get_snap_timestamp(snapshot["id"]).replace(tzinfo=UTC),
            protected=bool(opened.is_protected_snap(snapshot["name"])),
            children=_read_children(opened, snapshot["name"]),
        )
        for snapshot in found
    ]


def read_other_snapshots(opened: Any) -> list[OtherSnapshot]:
    return [
        OtherSnapshot(snapshot["name"], snapshot["id"], kind)
        for snapshot in opened.list_snaps()
        if (kind := _kind(snapshot)) != "user"
    ]


def _kind(snapshot: Mapping[str, Any]) -> str:
    number = snapshot["namespace"]
    return _KINDS[number] if number < len(_KINDS) else f"unknown-{number}"


def _read_children(opened: Any, snapshot: str) -> tuple[str, ...]:
    opened.set_snap(snapshot)
    try:
        return tuple(clone_path(child) for child in opened.list_children2())
    finally:
        opened.set_snap(None)


def create(ioctx: Any, name: str, snapshot: str, guard: Guard) -> None:
    header = guard.require(ioctx, name)
    target = _snapshot_label(ioctx, name, snapshot)
    try:
        with _explained(ioctx, name, header), image_errors("creating", target), rbd.Image(ioctx, name) as opened:
            opened.create_snap(snapshot)
    except ImageTaken as error:
        raise SnapshotTaken(str(error), code=error.code) from error.__cause__


def set_protected(ioctx: Any, name: str, snapshot: str, guard: Guard, *, protected: bool) -> None:
    """Protects the snapshot, or ends its protection. A snapshot in that state already is a success."""
    header = guard.require(ioctx, name)
    found = get_snapshot(ioctx, name, snapshot)
    if found.protected == protected:
        return
    if not protected and found.children:
        raise InUse(
            f"{_snapshot_label(ioctx, name, snapshot)} stays protected: clones depend on it: "
            f"{first_names(found.children)}; flatten or delete them first",
            code=errno.EBUSY,
        )
    operation = "protecting" if protected else "unprotecting"
    what = translated(operation, _snapshot_label(ioctx, name, snapshot))
    with _explained(ioctx, name, header), what, rbd.Image(ioctx, name) as opened:
        (opened.protect_snap if protected else opened.unprotect_snap)(snapshot)


def delete(ioctx: Any, name: str, snapshot: str, guard: Guard) -> None:
    header = guard.require(ioctx, name)
    found = get_snapshot(ioctx, name, snapshot)
    target = _snapshot_label(ioctx, name, snapshot)
    if found.children:
        raise InUse(
            f"{target} is kept: clones depend on it: {first_names(found.children)}; flatten or delete them first",
            code=errno.EBUSY,
        )
    if found.protected:
        raise InUse(f'{target} is kept: it is protected; set "protected": false first', code=errno.EBUSY)
    with _explained(ioctx, name, header), translated("deleting", target), rbd.Image(ioctx, name) as opened:
        opened.remove_snap(snapshot)


def _explained(ioctx: Any, name: str, found: ImageHeader) -> contextlib.AbstractContextManager[None]:
    return dependents.explained_refusal(ioctx, found.id, image_label(ioctx, name), name)


def check_rollback(connection: Connection, ioctx: Any, name: str, snapshot: str, guard: Guard) -> ImageHeader:
    found = guard.require(ioctx, name, (InterruptedWork.ROLLBACK,))
    get_snapshot(ioctx, name, snapshot)
    dependents.require_changeable(ioctx, found.id, image_label(ioctx, name), name)
    data_removal.require_delete_permission(connection.data_objects(ioctx, found.data_pool), ioctx, found.id)
    return found


def rollback(ioctx: Any, name: str, found: ImageHeader, snapshot: str, operation: str) -> None:
    """Copies the snapshot over the image, which is marked as incomplete until that is done."""
    require_unchanged(ioctx, name, found)
    what = translated("rolling back to", _snapshot_label(ioctx, name, snapshot))
    with mark_held(ioctx, found, InterruptedWork.ROLLBACK, operation), what, rbd.Image(ioctx, name) as opened:
        opened.rollback_to_snap(snapshot)


def clone(parent: Any, name: str, snapshot: str, child: Any, spec: ImageSpec, *, guard: Guard) -> None:
    """Clones the snapshot, and protects it first if this Ceph cluster requires that."""
    guard.require(parent, name)
    require_no_format1_image(child, spec.name)
    found = get_snapshot(parent, name, snapshot)
    try:
        _clone(parent, name, snapshot, child, spec)
    except InvalidArgument:
        if found.protected:
            raise
        set_protected(parent, name, snapshot, guard, protected=True)
        _clone(parent, name, snapshot, child, spec)


def _clone(parent: Any, name: str, snapshot: str, child: Any, spec: ImageSpec) -> None:
    target = f"{_snapshot_label(parent, name, snapshot)} to {image_label(child, spec.name)}"
    with _explained_namespace(target), image_errors("cloning", target):
        _LIBRBD.clone(
            parent, name, snapshot, child, spec.name, features=spec.feature_bits, order=spec.order,
            stripe_unit=spec.stripe_unit, stripe_count=spec.stripe_count, data_pool=spec.data_pool,
        )  # fmt: skip


@contextlib.contextmanager
def _explained_namespace(target: str) -> Iterator[None]:
    try:
        yield
    except CephError as error:
        if error.code != errno.EXDEV:
            raise
        text = (
            f"cloning {target}: this Ceph cluster supports old clients, whose clones must be in the namespace of their "
            "parent (EXDEV, 18): clone into that namespace, or require newer clients (ceph osd "
            "set-require-min-compat-client mimic)"
        )
        raise InvalidArgument(text, code=errno.EXDEV) from error.__cause__


def get_snapshot(ioctx: Any, name: str, snapshot: str) -> RbdSnapshot:
    """Raises SnapshotMissing."""
    for one in list_snapshots(ioctx, name):
        if one.name == snapshot:
            return one
    raise SnapshotMissing(f"{_snapshot_label(ioctx, name, snapshot)} does not exist", code=errno.ENOENT)


def _snapshot_label(ioctx: Any, name: str, snapshot: str) -> str:
    return f"snapshot {image_label(ioctx, name).removeprefix('image ')}@{snapshot}"
