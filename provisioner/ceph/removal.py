"""Removes the images of claims, at once or through the trash, as blocking calls.

An image with watchers, snapshots, clones or a group is never removed.
"""

from typing import Any

from provisioner.ceph import data_removal, dependents, directory, image_lookup, trash_entry, trash_purge
from provisioner.ceph.bindings import rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import ImageMissing, NoSpace, image_errors, image_label
from provisioner.ceph.format1 import require_no_format1_image
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.images import Fence, get_id, write_owned_metadata
from provisioner.ceph.model import ImageQuery, MovedToTrash, RbdImage
from provisioner.ceph.removal_progress import RemovalBegun, ReportProgress, ignore_progress
from sutler.volumes.identity import has_own_ids

_LIBRBD = rbd.RBD()


def find_removable(ioctx: Any, sought: ImageQuery) -> RbdImage | None:
    """The image if it may be removed; None if it does not exist. Raises InUse or ImageTaken with the reasons.

    Called before every removal: librbd moves an image with watchers or snapshots, or a member of a group, to the trash
    without complaint, and one with snapshots can never be removed from there.
    """
    found = image_lookup.find(ioctx, sought)
    if found is None:
        return None
    dependents.require_removable(ioctx, found.id, image_label(ioctx, found.name), found.name)
    return found


def remove(connection: Connection, ioctx: Any, sought: ImageQuery, fence: Fence) -> str | None:
    """Removes the image. A missing image is a success, and what an interrupted removal has left is cleaned up.

    A large image is only moved to the trash. Its id is returned, so that the caller purges it there.
    """
    found = find_removable(ioctx, sought)
    if found is not None and found.size // found.object_size >= data_removal.LARGE_IMAGE_OBJECTS:
        kept = trash_purge.configured_delay(ioctx)
        _move(ioctx, found, fence, delay=kept or 0)
        return found.id if kept is None else None
    if found is None and _is_image(ioctx, sought.name):
        return None  # the volume's image is in the trash, and another image has its name now
    name = found.name if found is not None else sought.name
    header = directory.find_header(ioctx, found.id, name) if found is not None else None
    if header is not None:
        data_removal.require_delete_permission(connection.data_objects(ioctx, header.data_pool), ioctx, header.id)
    fence()
    _remove(ioctx, name, header)
    return None


def _is_image(ioctx: Any, name: str) -> bool:
    try:
        directory.get_header(ioctx, name)
    except ImageMissing:
        return False
    return True


def _remove(ioctx: Any, name: str, found: ImageHeader | None) -> None:
    target = image_label(ioctx, name)
    try:
        if found is None:
            with image_errors("removing", target):
                _LIBRBD.remove(ioctx, name)
            return
        begun = RemovalBegun(ioctx, found.id, "", ignore_progress)
        with trash_purge.undone_if_refused(ioctx, found, name, begun), image_errors("removing", target):
            _LIBRBD.remove(ioctx, name, on_progress=begun)
    except ImageMissing:
        if found is not None:
            _require_gone(ioctx, name, target)


def move_to_trash(ioctx: Any, sought: ImageQuery, fence: Fence, *, delay: int) -> None:
    """Moves the image to the trash, where it is kept for `delay` seconds at least."""
    found = find_removable(ioctx, sought)
    if found is not None:
        _move(ioctx, found, fence, delay=delay)


def _move(ioctx: Any, found: RbdImage, fence: Fence, *, delay: int) -> None:
    fence()
    name = found.name
    target = image_label(ioctx, name)
    if not has_own_ids(found.metadata, ioctx.get_pool_id(), found.id):
        # Without its volume, only the ids in the metadata prove whose image it is.
        write_owned_metadata(ioctx, found.id, {}, target)
    try:
        with image_errors("moving to the trash", target):
            # Never 0, which administrators use: Sutler does not purge entries without a time.
            _LIBRBD.trash_move(ioctx, name, max(delay, 1))
    except ImageMissing:
        _require_gone(ioctx, name, target)


def _require_gone(ioctx: Any, name: str, target: str) -> None:
    """Raises NoSpace if the image still exists: librbd reports ENOENT also if a full pool cannot create its trash."""
    try:
        get_id(ioctx, name)
    except ImageMissing:
        return
    raise NoSpace(f"removing {target}: it still exists: check whether the pool is full or over its quota")


def list_trash(ioctx: Any) -> list[MovedToTrash]:
    """The images that users and Sutler have moved to the trash."""
    return [
        MovedToTrash(entry.name, entry.id, entry.deleted, entry.until)
        for entry in trash_entry.iterate(ioctx)
        if entry.source == "USER"
    ]


def purge(connection: Connection, ioctx: Any, identifier: str, fence: Fence, progress: ReportProgress) -> None:
    """Removes an image that is in the trash, with its data. A missing image is a success."""
    found = directory.find_header(ioctx, identifier)
    data = connection.data_objects(ioctx, found.data_pool) if found is not None else None
    fence()
    trash_purge.purge(ioctx, data, identifier, progress)


def restore(ioctx: Any, identifier: str, name: str, fence: Fence) -> None:
    """Restores the image from the trash under this name."""
    require_no_format1_image(ioctx, name)
    fence()
    with image_errors("restoring", image_label(ioctx, name)):
        _LIBRBD.trash_restore(ioctx, identifier, name)
