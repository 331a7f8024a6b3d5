"""Images of one pool, as blocking calls: they run in the threads of `provisioner.ceph.thread_pool`.

Each is safe to repeat: what a killed or timed-out call left behind is finished or cleaned up by the next one with the
same arguments.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any

from provisioner.ceph import cls_rbd as wire
from provisioner.ceph import csi_journal, fast_create
from provisioner.ceph.bindings import rados, rbd
from provisioner.ceph.errors import ImageMissing, ImageTaken, NamespaceMissing, NoSpace, translated
from provisioner.ceph.format1 import require_no_namesake
from provisioner.ceph.model import ImageSpec, JournalEntry, ListedImage, RbdImage, feature_names
from provisioner.ceph.where import clone_text, image_errors, place
from provisioner.ceph.where import image as image_text
from sutler.volumes.identity import has_own_ids, id_metadata

Fence = Callable[[], None]
"""Called right before the first change; raises when this process may not act any more."""

_LIBRBD = rbd.RBD()


def create(ioctx: Any, spec: ImageSpec, owner: str, fence: Fence, entry: JournalEntry | None = None) -> str:
    """Makes the image, or finds that it is there as asked for. `owner` is the metadata key that must be the same.

    With `entry`, it is entered into ceph-csi's journal. Returns the image's id, which its metadata names, too.
    """
    fence()
    known = spec.id if fast_create.fits(spec) else None
    entered = entry is not None and csi_journal.reserve(ioctx, entry, known)
    identifier = _make(ioctx, spec, owner, fence)
    if entry is not None and not (entered and identifier == known):
        csi_journal.complete(ioctx, entry, identifier)
    return identifier


def _make(ioctx: Any, spec: ImageSpec, owner: str, fence: Fence) -> str:
    """The image's id."""
    target = image_text(ioctx, spec.name)
    try:
        return _new(ioctx, spec, target)
    except ImageTaken:
        require_no_namesake(ioctx, spec.name)
        confirmed = _confirm(ioctx, spec, owner, target)
        if confirmed is not None:
            return confirmed
        # The pool's directory knows the name, but there is no image: a create or a removal stopped half-way.
        fence()
        with contextlib.suppress(ImageMissing), image_errors("cleaning up", target):
            _LIBRBD.remove(ioctx, spec.name)
        return _new(ioctx, spec, target)


def _new(ioctx: Any, spec: ImageSpec, target: str) -> str:
    if spec.id is not None and fast_create.fits(spec):
        marked = replace(spec, metadata={**spec.metadata, **id_metadata(ioctx.get_pool_id(), spec.id)})
        fast_create.create(ioctx, marked, target)
        return spec.id
    create_blank(ioctx, spec, target)
    identifier = identity(ioctx, spec.name)
    mark(ioctx, identifier, spec.metadata, target)
    return identifier


def prepare(ioctx: Any) -> None:
    """Makes the trash's object. Every removal goes through it, and in a full pool it could not be made any more."""
    with (
        contextlib.suppress(NoSpace),
        translated("preparing", f"pool {place(ioctx)}"),
        rados.WriteOpCtx() as operation,
    ):
        operation.new(0)  # no error if it is there
        ioctx.operate_write_op(operation, "rbd_trash")


def create_blank(ioctx: Any, spec: ImageSpec, target: str) -> None:
    """Librbd's own create, without metadata; `target` names the image in errors."""
    with image_errors("creating", target):
        _LIBRBD.create(
            ioctx, spec.name, spec.size, order=spec.order, old_format=False, features=spec.feature_bits,
            stripe_unit=spec.stripe_unit, stripe_count=spec.stripe_count, data_pool=spec.data_pool,
        )  # fmt: skip


def _confirm(ioctx: Any, spec: ImageSpec, owner: str, target: str) -> str | None:
    """The id of the image if it is what was asked for, and ours; finished if need be. None: a name without an image."""
    try:
        found = describe(ioctx, spec.name)
    except ImageMissing:
        return None
    if found.size != spec.size:
        raise ImageTaken(f"{target} exists with {found.size} bytes instead of {spec.size}: rename or remove it")
    if found.metadata.get(owner) == spec.metadata[owner]:
        itself = has_own_ids(found.metadata, ioctx.get_pool_id(), found.id)
        if itself is False:
            raise ImageTaken(f"{target} exists and is a copy of this claim's image: rename or remove it")
        if itself is None:
            mark(ioctx, found.id, {}, target)  # by version 0.1.0, which was killed then
        return found.id
    # Killed between creating and naming the owner. The name holds the claim's random UID, so nobody else made it.
    unfinished = not found.metadata and not found.snapshots and not found.watchers and spec.metadata[owner] in spec.name
    if not unfinished:
        who = found.metadata.get(owner)
        raise ImageTaken(f"{target} exists and {f'belongs to {who}' if who else 'is not ours'}: rename or remove it")
    mark(ioctx, found.id, spec.metadata, target)
    return found.id


def describe(ioctx: Any, name: str) -> RbdImage:
    target = image_text(ioctx, name)
    # A read-write open is itself a watcher.
    with image_errors("opening", target), rbd.Image(ioctx, name, read_only=True) as image:
        snapshots = tuple(snapshot["name"] for snapshot in image.list_snaps())
        identifier = image.id()
        return RbdImage(
            name=name, id=identifier, size=image.size(), features=feature_names(image.features()),
            object_size=2 ** image.stat()["order"], created=image.create_timestamp().replace(tzinfo=UTC),
            metadata=metadata_of(ioctx, identifier), watchers=tuple(w["addr"] for w in image.watchers_list()),
            snapshots=snapshots, children=tuple(clone_text(c) for c in image.list_children2()) if snapshots else (),
        )  # fmt: skip


def identity(ioctx: Any, name: str) -> str:
    with image_errors("looking up", image_text(ioctx, name)):
        return wire.decode_text(ioctx.read(wire.IDENTITY + name))


def metadata_of(ioctx: Any, identifier: str) -> dict[str, str]:
    with image_errors("reading the metadata of", f"image {place(ioctx)} id {identifier}"):
        _, data = ioctx.execute(wire.HEADER + identifier, wire.CLASS, "metadata_list", wire.encode_listing(), 65536)
        return wire.decode_map(data)


def size_of(ioctx: Any, identifier: str) -> int:
    target = f"image {place(ioctx)} id {identifier}"
    with image_errors("opening", target), rbd.Image(ioctx, image_id=identifier, read_only=True) as image:
        return int(image.size())


def mark(ioctx: Any, identifier: str, metadata: Mapping[str, str], target: str) -> None:
    """Writes the metadata, and with it the image's own ids; `target` names the image in errors."""
    keys = {**metadata, **id_metadata(ioctx.get_pool_id(), identifier)}
    with image_errors("writing the metadata of", target):
        ioctx.execute(wire.HEADER + identifier, wire.CLASS, "metadata_set", wire.encode_map(keys))


def listing(ioctx: Any) -> list[ListedImage]:
    with image_errors("listing", f"the images of {place(ioctx)}"):
        return [ListedImage(entry["name"], entry["id"]) for entry in _LIBRBD.list2(ioctx)]


def resize(ioctx: Any, name: str, size: int, fence: Fence) -> int:
    """Grows the image to `size` and returns the size it has then. An image that is larger already stays as it is."""
    target = image_text(ioctx, name)
    fence()
    with image_errors("resizing", target), rbd.Image(ioctx, name) as image:
        if image.size() < size:
            image.resize(size, allow_shrink=False)
        return int(image.size())


def require_namespace(ioctx: Any, namespace: str) -> None:
    if not namespace:
        return
    with translated("looking up", f"namespace {place(ioctx)}"):
        if _LIBRBD.namespace_exists(ioctx, namespace):
            return
    raise NamespaceMissing(
        f"RADOS namespace {namespace} does not exist in pool {ioctx.get_pool_name()} (rbd namespace create)"
    )
