"""Creates and reads the images of claims, as blocking calls for the threads of `provisioner.ceph.thread_pool`.

Every call is safe to repeat: the next call with the same arguments finishes, or cleans up, what a killed or timed-out
call has left.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any

from provisioner.ceph import cls_rbd as wire
from provisioner.ceph import csi_journal, dependents, fast_create
from provisioner.ceph.bindings import rados, rbd
from provisioner.ceph.errors import (
    ImageMissing,
    ImageTaken,
    NamespaceMissing,
    NoSpace,
    clone_path,
    image_errors,
    image_label,
    pool_label,
    pool_path,
    translated,
)
from provisioner.ceph.format1 import require_no_format1_image
from provisioner.ceph.image_metadata import read_metadata, write_metadata
from provisioner.ceph.metadata_update import update_limits
from provisioner.ceph.model import ImageSpec, JournalEntry, ListedImage, RbdImage, feature_names
from sutler.volumes.identity import has_own_ids, id_metadata

Fence = Callable[[], None]
"""Called right before the first change; raises if this process is no longer the leader."""

_LIBRBD = rbd.RBD()


def create(ioctx: Any, spec: ImageSpec, owner: str, fence: Fence, entry: JournalEntry | None = None) -> str:
    """Creates the image, or confirms that it exists as requested, and returns its id.

    `owner` is the metadata key whose value an existing image must share. With `entry`, the image is entered into
    ceph-csi's journal. The image's metadata names its own id.
    """
    fence()
    known = spec.id if fast_create.can_create(spec) else None
    entered = entry is not None and csi_journal.reserve(ioctx, entry, known)
    identifier = _create_or_finish(ioctx, spec, owner, fence)
    if entry is not None and not (entered and identifier == known):
        csi_journal.complete(ioctx, entry, identifier)
    return identifier


def _create_or_finish(ioctx: Any, spec: ImageSpec, owner: str, fence: Fence) -> str:
    """Returns the image's id."""
    target = image_label(ioctx, spec.name)
    try:
        return _create_new(ioctx, spec, target)
    except ImageTaken:
        require_no_format1_image(ioctx, spec.name)
        confirmed = _finish_existing(ioctx, spec, owner, target, fence)
        if confirmed is not None:
            return confirmed
        # The directory has the name, but there is no image: a creation or a removal was interrupted.
        fence()
        with contextlib.suppress(ImageMissing), image_errors("cleaning up", target):
            _LIBRBD.remove(ioctx, spec.name)
        return _create_new(ioctx, spec, target)


def _create_new(ioctx: Any, spec: ImageSpec, target: str) -> str:
    if spec.id is not None and fast_create.can_create(spec):
        marked = replace(spec, metadata={**spec.metadata, **id_metadata(ioctx.get_pool_id(), spec.id)})
        fast_create.create(ioctx, marked, target)
        return spec.id
    create_with_librbd(ioctx, spec, target)
    identifier = get_id(ioctx, spec.name)
    write_owned_metadata(ioctx, identifier, spec.metadata, target)
    return identifier


def create_trash_object(ioctx: Any) -> None:
    """Creates the trash's object. Every removal needs it, and a full pool does not accept new objects."""
    with (
        contextlib.suppress(NoSpace),
        translated("preparing", f"pool {pool_path(ioctx)}"),
        rados.WriteOpCtx() as operation,
    ):
        operation.new(0)  # no error if it exists
        ioctx.operate_write_op(operation, wire.TRASH)


def create_with_librbd(ioctx: Any, spec: ImageSpec, target: str) -> None:
    """Creates the image by librbd, without metadata. `target` names the image in errors."""
    with image_errors("creating", target):
        _LIBRBD.create(
            ioctx, spec.name, spec.size, order=spec.order, old_format=False, features=spec.feature_bits,
            stripe_unit=spec.stripe_unit, stripe_count=spec.stripe_count, data_pool=spec.data_pool,
        )  # fmt: skip


def _finish_existing(ioctx: Any, spec: ImageSpec, owner: str, target: str, fence: Fence) -> str | None:
    """The id of an existing image that is as requested, finished if need be. None: a name without an image.

    Raises ImageTaken for an image that differs or belongs to another owner.
    """
    try:
        found = describe(ioctx, spec.name)
    except ImageMissing:
        return None
    if found.size != spec.size:
        raise ImageTaken(f"{target} exists with {found.size} bytes instead of {spec.size}: rename or delete it")
    if found.metadata.get(owner) == spec.metadata[owner]:
        itself = has_own_ids(found.metadata, ioctx.get_pool_id(), found.id)
        if itself is False:
            raise ImageTaken(f"{target} exists and is a copy of this claim's image: rename or delete it")
        if itself is None:
            write_owned_metadata(ioctx, found.id, {}, target)  # version 0.1.0 created it and was killed
        # The claim may have changed its attributes since a killed process created the image.
        update_limits(ioctx, found.id, found.metadata, spec.metadata, fence)
        return found.id
    # The creator was killed before it wrote the owner. The name holds the claim's random UID, so Sutler created it.
    unfinished = not found.metadata and not found.snapshots and not found.watchers and spec.metadata[owner] in spec.name
    if not unfinished:
        who = found.metadata.get(owner)
        owned = f"belongs to {who}" if who else "names no owner"
        raise ImageTaken(f"{target} exists and {owned}: rename or delete it")
    write_owned_metadata(ioctx, found.id, spec.metadata, target)
    return found.id


def describe(ioctx: Any, name: str) -> RbdImage:
    """Opens the image: for its watchers, snapshots and clones. Raises ImageMissing."""
    target = image_label(ioctx, name)
    # Read-only: opened for writing, Sutler itself would be a watcher.
    with image_errors("opening", target), rbd.Image(ioctx, name, read_only=True) as image:
        snapshots = tuple(snapshot["name"] for snapshot in image.list_snaps())
        identifier = image.id()
        return RbdImage(
            name=name, id=identifier, size=image.size(), features=feature_names(image.features()),
            object_size=2 ** image.stat()["order"], created=image.create_timestamp().replace(tzinfo=UTC),
            metadata=read_metadata(ioctx, identifier), watchers=tuple(w["addr"] for w in image.watchers_list()),
            snapshots=snapshots, children=tuple(clone_path(c) for c in image.list_children2()) if snapshots else (),
        )  # fmt: skip


def get_id(ioctx: Any, name: str) -> str:
    """The id that the name leads to. Raises ImageMissing."""
    with image_errors("looking up", image_label(ioctx, name)):
        return wire.decode_text(ioctx.read(wire.ID_PREFIX + name))


def get_size(ioctx: Any, identifier: str) -> int:
    """Bytes of the image, in the trash or outside of it. Raises ImageMissing."""
    target = f"image {pool_path(ioctx)} id {identifier}"
    with image_errors("opening", target), rbd.Image(ioctx, image_id=identifier, read_only=True) as image:
        return int(image.size())


def write_owned_metadata(ioctx: Any, identifier: str, metadata: Mapping[str, str], target: str) -> None:
    """Writes the metadata together with the image's own ids. `target` names the image in errors."""
    write_metadata(ioctx, identifier, {**metadata, **id_metadata(ioctx.get_pool_id(), identifier)}, target)


def list_images(ioctx: Any) -> list[ListedImage]:
    with image_errors("listing", f"the images of {pool_path(ioctx)}"):
        return [ListedImage(entry["name"], entry["id"]) for entry in _LIBRBD.list2(ioctx)]


def resize(ioctx: Any, name: str, size: int, fence: Fence) -> int:
    """Grows the image to `size` bytes and returns its size. An image that is larger already is left unchanged."""
    target = image_label(ioctx, name)
    fence()
    with image_errors("resizing", target), rbd.Image(ioctx, name) as image:
        if image.size() < size:
            with dependents.explained_refusal(ioctx, image.id(), target, name), image_errors("resizing", target):
                image.resize(size, allow_shrink=False)
        return int(image.size())


def require_namespace(ioctx: Any, namespace: str) -> None:
    """Raises NamespaceMissing. The default namespace, "", always exists."""
    if not namespace:
        return
    with translated("looking up", f"namespace {pool_path(ioctx)}"):
        if _LIBRBD.namespace_exists(ioctx, namespace):
            return
    raise NamespaceMissing(
        f"RADOS namespace {namespace} does not exist in pool {pool_label(ioctx)}: create it (rbd namespace create)"
    )
