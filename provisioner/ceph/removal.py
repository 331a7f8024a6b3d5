"""Getting rid of images, as blocking calls: at once, or through the trash. Nothing that is needed ever goes."""

from typing import Any

from provisioner.ceph import data_removal, dependents, directory, image_lookup, trash_purge
from provisioner.ceph.bindings import rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import ImageMissing, NoSpace
from provisioner.ceph.format1 import require_no_namesake
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.images import Fence, identity, mark
from provisioner.ceph.model import ImageQuery, MovedToTrash, RbdImage
from provisioner.ceph.removal_progress import Progress, RemovalBegun, unheard
from provisioner.ceph.trash import everything
from provisioner.ceph.where import image, image_errors
from sutler.volumes.identity import has_own_ids

_LIBRBD = rbd.RBD()


def removable(ioctx: Any, sought: ImageQuery) -> RbdImage | None:
    """The image, if it may be removed; None if it is gone. Raises InUse or ImageTaken with what is in the way.

    Asked before every removal: librbd happily moves an image with watchers or snapshots, or a member of a group, to the
    trash, and one with snapshots can never be removed from there.
    """
    found = image_lookup.find(ioctx, sought)
    if found is None:
        return None
    dependents.refuse_removal(ioctx, found.id, image(ioctx, found.name), found.name)
    return found


def remove(connection: Connection, ioctx: Any, sought: ImageQuery, fence: Fence) -> str | None:
    """Removes the image. One that is gone is a success, and a half-removed one is cleaned up.

    A large one is only moved to the trash; its id comes back, to be removed from there with all the time that it takes.
    """
    found = removable(ioctx, sought)
    if found is not None and found.size // found.object_size >= data_removal.LARGE:
        kept = trash_purge.kept_for(ioctx)
        _move(ioctx, found, fence, delay=kept or 0)
        return found.id if kept is None else None
    if found is None and _is_image(ioctx, sought.name):
        return None  # the volume's lies in the trash, and its name was given to another one
    name = found.name if found is not None else sought.name
    header = directory.header_by_id(ioctx, found.id, name) if found is not None else None
    if header is not None:
        data_removal.require_deletable(connection.data_of(ioctx, header.data_pool), ioctx, header.id)
    fence()
    _remove(ioctx, name, header)
    return None


def _is_image(ioctx: Any, name: str) -> bool:
    try:
        directory.header(ioctx, name)
    except ImageMissing:
        return False
    return True


def _remove(ioctx: Any, name: str, found: ImageHeader | None) -> None:
    target = image(ioctx, name)
    try:
        if found is None:
            with image_errors("removing", target):
                _LIBRBD.remove(ioctx, name)
            return
        begun = RemovalBegun(ioctx, found.id, "", unheard)
        with trash_purge.undone(ioctx, found, name, begun), image_errors("removing", target):
            _LIBRBD.remove(ioctx, name, on_progress=begun)
    except ImageMissing:
        if found is not None:
            _require_gone(ioctx, name, target)


def trash(ioctx: Any, sought: ImageQuery, fence: Fence, *, delay: int) -> None:
    """Moves the image to the trash, where it can be restored for `delay` seconds at least."""
    found = removable(ioctx, sought)
    if found is not None:
        _move(ioctx, found, fence, delay=delay)


def _move(ioctx: Any, found: RbdImage, fence: Fence, *, delay: int) -> None:
    fence()
    name = found.name
    target = image(ioctx, name)
    if not has_own_ids(found.metadata, ioctx.get_pool_id(), found.id):
        # In the trash there is no volume any more that would prove whose it is.
        mark(ioctx, found.id, {}, target)
    try:
        with image_errors("moving to the trash", target):
            # Never 0, as where an administrator moves it: what bears no time is not ours to purge.
            _LIBRBD.trash_move(ioctx, name, max(delay, 1))
    except ImageMissing:
        _require_gone(ioctx, name, target)


def _require_gone(ioctx: Any, name: str, target: str) -> None:
    """Librbd says "no such file" of much, for example of a trash that a full pool has no room for."""
    try:
        identity(ioctx, name)
    except ImageMissing:
        return
    raise NoSpace(f"removing {target}: it is still there: is the pool full or over its quota?")


def trash_listing(ioctx: Any) -> list[MovedToTrash]:
    return [
        MovedToTrash(entry.name, entry.id, entry.deleted, entry.until)
        for entry in everything(ioctx)
        if entry.source == "USER"
    ]


def trash_remove(connection: Connection, ioctx: Any, identifier: str, fence: Fence, progress: Progress) -> None:
    found = directory.header_by_id(ioctx, identifier)
    data = connection.data_of(ioctx, found.data_pool) if found is not None else None
    fence()
    trash_purge.purge(ioctx, data, identifier, progress)


def trash_restore(ioctx: Any, identifier: str, name: str, fence: Fence) -> None:
    require_no_namesake(ioctx, name)
    fence()
    with image_errors("restoring", image(ioctx, name)):
        _LIBRBD.trash_restore(ioctx, identifier, name)
