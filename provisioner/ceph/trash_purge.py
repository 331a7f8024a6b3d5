"""Removes images with their data, as blocking calls that take as long as the data does.

Every removal goes through the trash: a removal that is interrupted leaves the image there.
"""

import contextlib
import errno
from collections.abc import Iterator
from typing import Any

from provisioner.ceph import cls_rbd, data_removal, dependents, directory, trash_entry
from provisioner.ceph.bindings import rados, rbd
from provisioner.ceph.errors import CephError, ImageMissing, image_errors, image_label, pool_path
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.object_listing import ObjectListing
from provisioner.ceph.removal_progress import RemovalBegun, ReportProgress

_LIBRBD = rbd.RBD()
_REFUSALS = frozenset({errno.EROFS, errno.EBUSY, errno.EMLINK, errno.ENOTEMPTY, errno.EINVAL})
"""Errors with which librbd rejects a removal and changes nothing; `dependents` tells the reason."""


def entry_label(ioctx: Any, identifier: str) -> str:
    return f"trash entry {identifier} of {pool_path(ioctx)}"


def purge(
    ioctx: Any, data: ObjectListing | None, identifier: str, progress: ReportProgress, operation: str = ""
) -> None:
    """Removes an image that is in the trash. An image that does not exist is a success.

    No data is removed before the checks that librbd makes, and Sutler's own, have passed. `data`: the pool of the
    image's data; None if that pool was deleted.
    """
    found = directory.find_header(ioctx, identifier)
    target = entry_label(ioctx, identifier)
    with contextlib.suppress(ImageMissing):
        if found is None:
            with image_errors("purging", target):
                _LIBRBD.trash_remove(ioctx, identifier, force=True)
            return
        dependents.require_removable(ioctx, identifier, target)
        data_removal.require_delete_permission(data, ioctx, identifier)
        begun = RemovalBegun(ioctx, identifier, operation, progress)
        with undone_if_refused(ioctx, found, None, begun):
            _purge(ioctx, data, found, target, begun)


def remove(ioctx: Any, data: ObjectListing | None, name: str, found: ImageHeader, begun: RemovalBegun) -> None:
    """Removes the image, or moves it to the trash if its pool is configured so. A missing image is a success."""
    target = image_label(ioctx, name)
    with contextlib.suppress(ImageMissing):
        if data is not None and data_removal.can_sweep(data, found) and configured_delay(ioctx) is None:
            with image_errors("moving to the trash", target):
                _LIBRBD.trash_move(ioctx, name, 0)
            with undone_if_refused(ioctx, found, name, begun):
                _purge(ioctx, data, found, target, begun)
            return
        with (
            undone_if_refused(ioctx, found, name, begun),
            begun.explaining_stop("removing", target),
            image_errors("removing", target),
        ):
            _LIBRBD.remove(ioctx, name, on_progress=begun)


def _purge(ioctx: Any, data: ObjectListing | None, found: ImageHeader, target: str, begun: RemovalBegun) -> None:
    with begun.explaining_stop("purging", target), image_errors("purging", target):
        if data is not None and data_removal.can_sweep(data, found):
            data_removal.sweep(ioctx, data, found, begun)
        _LIBRBD.trash_remove(ioctx, found.id, force=True, on_progress=begun)


@contextlib.contextmanager
def undone_if_refused(ioctx: Any, found: ImageHeader, name: str | None, begun: RemovalBegun) -> Iterator[None]:
    """Moves the image back out of the trash after a rejected removal, and explains the rejection.

    `name`: None for an image that was in the trash before.
    """
    try:
        yield
    except ImageMissing:
        raise
    except CephError as error:
        if begun.data_lost:
            data_removal.set_removing(ioctx, found.id)
            raise
        if name is not None:
            with contextlib.suppress(CephError):
                _put_back(ioctx, found.id, name)
        if error.code in _REFUSALS:
            target = image_label(ioctx, name) if name is not None else entry_label(ioctx, found.id)
            dependents.require_removable(ioctx, found.id, target, name)
        raise


def _put_back(ioctx: Any, identifier: str, name: str) -> None:
    """Restores the image if it is in the trash.

    librbd does so after some of its rejections only, and it restores no entry with the source REMOVING.
    """
    entry = trash_entry.read_raw(ioctx, identifier)
    if entry is None:
        return
    with image_errors("restoring", image_label(ioctx, name)):
        with rados.WriteOpCtx() as operation:
            ioctx.set_omap(operation, (trash_entry.key_of(identifier),), (trash_entry.moved_by_user(entry),))
            ioctx.operate_write_op(operation, cls_rbd.TRASH)
        _LIBRBD.trash_restore(ioctx, identifier, name)


def configured_delay(ioctx: Any) -> int | None:
    """Seconds for which the pool's configuration keeps removed images in the trash; None: it removes them at once."""
    with image_errors("reading", f"the configuration of pool {pool_path(ioctx)}"):
        options = {option["name"]: option["value"] for option in _LIBRBD.config_list(ioctx)}
    if options.get("rbd_move_to_trash_on_remove") != "true":
        return None
    return int(options.get("rbd_move_to_trash_on_remove_expire_seconds", "0"))
