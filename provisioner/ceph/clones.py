"""Creates clones of snapshots and of images as images of claims, as blocking calls that are safe to repeat.

1. The intent is recorded (see provisioner.ceph.clone_intents).
2. To clone an image, a temporary snapshot of it is created.
3. librbd creates the clone, which inherits the metadata of its parent.
4. One operation writes the clone's own metadata and removes what it must not inherit. From now on it is the claim's.
5. The clone gets its size; the temporary snapshot and the intent are removed.

A clone that an interrupted call has left before step 4 is removed and created again: nothing has written to it.
"""

import contextlib
import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.ceph import clone_intents, directory, images, volume_snapshots
from provisioner.ceph.bindings import rbd
from provisioner.ceph.clone_intents import CloneIntent
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import (
    ImageMissing,
    ImageTaken,
    InUse,
    InvalidArgument,
    PoolMissing,
    image_errors,
    image_label,
)
from provisioner.ceph.format1 import require_no_format1_image
from provisioner.ceph.image_header import CloneParent, ImageHeader
from provisioner.ceph.images import Fence
from provisioner.ceph.interrupted import interrupted_work
from provisioner.ceph.metadata_update import replace_metadata, update_limits
from provisioner.ceph.model import ImageSpec
from provisioner.ceph.volume_snapshots import VolumeSnapshot
from sutler import well_known
from sutler.volumes.identity import has_own_ids, id_metadata

MOST_ANCESTORS = 14
"""Ancestors that the source of a clone may have. The kernel maps no image with more than 16."""

TEMPORARY_PREFIX = "sutler-clone-"
"""Snapshots with this prefix and a claim's UID exist while a clone for the claim is created."""

_CLAIM_KEYS = (well_known.METADATA_NAMESPACE, well_known.METADATA_CLAIM)
_INHERITED = ("sutler.dev/", "csi.storage.k8s.io/", "csi.ceph.com/", "rbd.csi.ceph.com/")
"""Prefixes of metadata that describes the parent and would be wrong for its clone."""

_LIBRBD = rbd.RBD()


@dataclass(frozen=True, slots=True)
class CloneOrigin:
    """What is cloned, by ids."""

    pool: int
    namespace: str
    """The RADOS namespace; empty: the default one."""
    image: str
    snapshot: int | None = None
    """None: the image itself, by a snapshot that exists for that time only."""
    most_ancestors: int = MOST_ANCESTORS

    @property
    def key(self) -> tuple[int, str, str]:
        return self.pool, self.namespace, self.image


@dataclass(frozen=True, slots=True)
class ClonedImage:
    id: str
    ancestors: tuple[CloneParent, ...]
    """The parent first. A flattened clone has none, but records them."""


def create(connection: Connection, child: Any, spec: ImageSpec, origin: CloneOrigin, *, fence: Fence) -> ClonedImage:
    """Creates the clone of `spec.name`, or finishes an interrupted call.

    `spec.metadata` must name the owner and the Kubernetes cluster. Raises InvalidArgument if the source is larger than
    `spec.size`, has too many ancestors or lacks the feature layering, and ImageMissing if it does not exist.
    """
    owner, kubernetes = spec.metadata[well_known.OWNER], spec.metadata[well_known.KUBERNETES]
    temporary = _temporary_name(owner) if origin.snapshot is None else ""
    parent = connection.ioctx(origin.pool, origin.namespace)
    intent = clone_intents.find(child, spec.name)
    existing = _find(child, spec.name)
    if existing is not None and _is_own(existing, child, owner):
        update_limits(child, existing.id, existing.metadata, spec.metadata, fence)
        _complete(child, existing.id, spec, parent, origin, fence=fence)
        return ClonedImage(existing.id, tuple(list_ancestors(connection, existing)))
    if intent is None:
        _require_no_image(child, spec.name)
        fence()
        claim = "/".join(spec.metadata.get(key, "") for key in _CLAIM_KEYS)
        clone_intents.record(child, spec.name, CloneIntent(owner, kubernetes, *origin.key, claim, temporary))
    elif (intent.owner, intent.kubernetes) != (owner, kubernetes):
        raise ImageTaken(f"{image_label(child, spec.name)} is being created for another claim, {intent.owner}")
    else:
        _remove_unowned(child, spec.name, intent, fence)
    try:
        snapshot = _prepare(connection, parent, origin, temporary, spec, fence=fence)
        identifier = _clone(connection, parent, origin, snapshot, child, spec=spec, fence=fence)
    except (ImageMissing, InvalidArgument):
        # Another attempt would fail as well, and the claim may be deleted before it: nothing must be left of this one.
        discard(connection, child, spec.name, owner, kubernetes, fence=fence)
        raise
    _complete(child, identifier, spec, parent, origin, fence=fence)
    header = directory.find_header(child, identifier)
    return ClonedImage(identifier, tuple(list_ancestors(connection, header)) if header is not None else ())


def discard(connection: Connection, child: Any, name: str, owner: str, kubernetes: str, *, fence: Fence) -> bool:
    """Removes what an interrupted call has left before the clone was the claim's. Returns whether the intent is gone.

    An image with its own metadata is kept, since it is an ordinary image of the claim; so is one of another origin.
    """
    intent = clone_intents.find(child, name)
    if intent is None:
        return True
    if (intent.owner, intent.kubernetes) != (owner, kubernetes):
        return False
    existing = _find(child, name)
    if existing is None or not _is_own(existing, child, owner):
        with contextlib.suppress(ImageTaken):
            _remove_unowned(child, name, intent, fence)
    if intent.temporary:
        with contextlib.suppress(PoolMissing):
            parent = connection.ioctx(intent.pool, intent.namespace)
            _delete_temporary(parent, intent.image, intent.temporary, fence)
    fence()
    clone_intents.remove(child, name)
    return True


def list_ancestors(connection: Connection, header: ImageHeader) -> list[CloneParent]:
    """The parent of the image, the parent's parent and so on; up to 20."""
    found: list[CloneParent] = []
    current: ImageHeader | None = header
    while current is not None and current.parent is not None and len(found) < MOST_ANCESTORS + 6:
        found.append(current.parent)
        try:
            ioctx = connection.ioctx(current.parent.pool, current.parent.namespace)
        except PoolMissing:
            break
        current = directory.find_header(ioctx, current.parent.image)
    return found


def _find(ioctx: Any, name: str) -> ImageHeader | None:
    try:
        return directory.get_header(ioctx, name)
    except ImageMissing:
        return None


def _is_own(header: ImageHeader, ioctx: Any, owner: str) -> bool:
    """Whether step 4 is done. An image that is being removed does not count."""
    metadata = header.metadata
    return (
        metadata.get(well_known.OWNER) == owner
        and has_own_ids(metadata, ioctx.get_pool_id(), header.id) is True
        and not interrupted_work(metadata, header.id)
    )


def _require_no_image(ioctx: Any, name: str) -> None:
    require_no_format1_image(ioctx, name)
    if directory.has_name(ioctx, name) or _find(ioctx, name) is not None:
        raise ImageTaken(f"{image_label(ioctx, name)} exists and is no clone for this claim: rename or delete it")


def _remove_unowned(ioctx: Any, name: str, intent: CloneIntent, fence: Fence) -> None:
    """Removes an incomplete clone. No image had its name when the intent was recorded.

    An administrator may have created an image of that name since: raises ImageTaken unless the image is a clone of the
    intent's source, or has no parent yet, no owner and no data.
    """
    target = image_label(ioctx, name)
    header = _find(ioctx, name)
    if header is None and not directory.has_name(ioctx, name):
        return
    if header is not None:
        with image_errors("opening", target), rbd.Image(ioctx, name, read_only=True) as opened:
            watchers = [watcher["addr"] for watcher in opened.watchers_list()]
            if watchers or list(opened.list_snaps()):
                raise InUse(
                    f"{target} is an incomplete clone, and it is in use or has snapshots: Sutler removes it once it "
                    f"has neither{f'; it is in use at {watchers[0]}' if watchers else ''}"
                )
            if not _is_remainder(ioctx, header, opened, intent):
                raise ImageTaken(f"{target} exists and is no clone for this claim: rename or delete it")
    fence()
    with contextlib.suppress(ImageMissing), image_errors("removing", target):
        _LIBRBD.remove(ioctx, name)


def _is_remainder(ioctx: Any, header: ImageHeader, opened: Any, intent: CloneIntent) -> bool:
    """Whether an interrupted call for the intent has left this image: librbd creates it, then attaches its parent."""
    if header.parent is not None:
        return (header.parent.pool, header.parent.namespace, header.parent.image) == intent.source
    if has_own_ids(header.metadata, ioctx.get_pool_id(), header.id) is True:
        return False
    written: list[int] = []
    opened.diff_iterate(0, opened.size(), None, lambda offset, *_: written.append(offset), False, True)
    return not written


def _prepare(
    connection: Connection, parent: Any, origin: CloneOrigin, temporary: str, spec: ImageSpec, *, fence: Fence
) -> VolumeSnapshot:
    """The snapshot to clone. Raises InvalidArgument if it cannot become an image as requested."""
    header = volume_snapshots.require_image(parent, origin.image)
    target = volume_snapshots.image_text(parent, origin.image)
    if "layering" not in header.features or "layering" not in spec.features:
        raise InvalidArgument(f"cloning {target}: source and class both need the image feature layering")
    if spec.order < header.order:  # librbd rejects it as an invalid argument
        raise InvalidArgument(
            f"cloning {target}: the source has objects of {header.object_size} bytes, and a clone cannot have smaller "
            f"ones: use a class with objectSize {header.object_size} or more"
        )
    ancestors = list_ancestors(connection, header)
    if len(ancestors) > origin.most_ancestors:
        raise InvalidArgument(
            f"cloning {target}: it is a clone of a clone, with {len(ancestors)} ancestors, and nodes map no image with "
            "more than 16: flatten it first (rbd flatten), and set flattenPolicy: async for classes of clones"
        )
    if origin.snapshot is None:
        _require_size(target, header.size, spec)
        return volume_snapshots.create(parent, origin.image, temporary, fence)
    found = volume_snapshots.find(parent, origin.image, origin.snapshot)
    if found is None:
        raise ImageMissing(f"snapshot {origin.snapshot} of {target} does not exist any more", code=errno.ENOENT)
    _require_size(f"snapshot {found.name} of {target}", found.size, spec)
    return found


def _require_size(what: str, size: int, spec: ImageSpec) -> None:
    if size > spec.size:
        raise InvalidArgument(f"{what} has {size} bytes, more than the requested {spec.size}: request {size} or more")


def _clone(
    connection: Connection, parent: Any, origin: CloneOrigin, snapshot: VolumeSnapshot, child: Any, *, spec: ImageSpec,
    fence: Fence,
) -> str:  # fmt: skip
    """Steps 3 and 4. Returns the clone's id."""
    name = directory.find_name(parent, origin.image)
    if name is None:
        raise ImageMissing(f"{volume_snapshots.image_text(parent, origin.image)} does not exist", code=errno.ENOENT)
    target = image_label(child, spec.name)
    fence()
    with image_errors("cloning", f"{image_label(parent, name)}@{snapshot.name} to {target}"):
        # Of the new format, which needs no protected snapshot. The binding of Ceph 16 has no argument for it.
        connection.rados.conf_set("rbd_default_clone_format", "2")
        _LIBRBD.clone(
            parent, name, snapshot.name, child, spec.name, features=spec.feature_bits, order=spec.order,
            stripe_unit=spec.stripe_unit, stripe_count=spec.stripe_count, data_pool=spec.data_pool,
        )  # fmt: skip
    header = directory.get_header(child, spec.name)
    if header.parent != CloneParent(origin.pool, origin.namespace, origin.image, snapshot.id):
        raise ImageTaken(f"{target} is no clone of the requested source: its image was renamed meanwhile")
    own = {**spec.metadata, **id_metadata(child.get_pool_id(), header.id)}
    fence()
    replace_metadata(child, header.id, own, _inherited(header.metadata, own))
    return header.id


def _inherited(metadata: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    return [key for key in metadata if key.startswith(_INHERITED) and key not in own]


def _complete(child: Any, identifier: str, spec: ImageSpec, parent: Any, origin: CloneOrigin, *, fence: Fence) -> None:
    """Step 5."""
    size = images.resize(child, spec.name, spec.size, fence)
    if size != spec.size:
        raise ImageTaken(f"{image_label(child, spec.name)} exists with {size} bytes instead of {spec.size}: rename it")
    if directory.get_header(child, spec.name).id != identifier:
        raise ImageTaken(f"{image_label(child, spec.name)} was replaced by another image meanwhile")
    if origin.snapshot is None:
        _delete_temporary(parent, origin.image, _temporary_name(spec.metadata[well_known.OWNER]), fence)
    fence()
    clone_intents.remove(child, spec.name)


def _temporary_name(owner: str) -> str:
    return f"{TEMPORARY_PREFIX}{owner}"


def _delete_temporary(parent: Any, image: str, temporary: str, fence: Fence) -> None:
    found = volume_snapshots.find_named(parent, image, temporary)
    if found is not None:
        volume_snapshots.delete(parent, image, found.id, fence)
