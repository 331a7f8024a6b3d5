"""Removing an image that lies in the trash, as blocking calls: with all the time that it takes."""

import contextlib
import errno
from collections.abc import Iterator
from typing import Any

from provisioner.ceph import data_removal, dependents, directory
from provisioner.ceph.bindings import rados, rbd
from provisioner.ceph.errors import CephError, ImageMissing, image_errors, image_label, pool_path
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.object_listing import ObjectListing
from provisioner.ceph.removal_progress import RemovalBegun, ReportProgress

_LIBRBD = rbd.RBD()
SOURCE = 6
"""Where an entry of the trash says who put it there: 0 for people."""
_REFUSALS = frozenset({errno.EROFS, errno.EBUSY, errno.EMLINK, errno.ENOTEMPTY, errno.EINVAL})
"""What librbd refuses with; why, the image's ties tell."""


def entry_label(ioctx: Any, identifier: str) -> str:
    return f"trash entry {identifier} of {pool_path(ioctx)}"


def purge(
    ioctx: Any, data: ObjectListing | None, identifier: str, progress: ReportProgress, operation: str = ""
) -> None:
    """Nothing is lost before librbd, or what it would look at, allows it. An image that is gone is a success.

    `data`: the pool that its data lie in.
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
    """Removes the image, or moves it to the trash if its pool is configured so. One that is gone is a success.

    It goes through the trash in any case: stopped half-way, that is where it is.
    """
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
    """A removal that librbd refuses leaves the image as and where it was, and what it is part of is said."""
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
    """Out of the trash, if that is where it is.

    librbd itself does so after some of its refusals only, and restores nothing that was moved there for its removal.
    """
    key = f"id_{identifier}"
    entry = dict(directory.read_omap(ioctx, "rbd_trash", "", key, 1)).get(key)
    if entry is None:
        return
    with image_errors("restoring", image_label(ioctx, name)):
        with rados.WriteOpCtx() as operation:
            by_people = entry[:SOURCE] + b"\0" + entry[SOURCE + 1 :]
            ioctx.set_omap(operation, (key,), (by_people,))
            ioctx.operate_write_op(operation, "rbd_trash")
        _LIBRBD.trash_restore(ioctx, identifier, name)


def configured_delay(ioctx: Any) -> int | None:
    """Seconds for which the pool wants images that are removed to stay in its trash; None: it has no such wish."""
    with image_errors("asking for", f"the configuration of pool {pool_path(ioctx)}"):
        options = {option["name"]: option["value"] for option in _LIBRBD.config_list(ioctx)}
    if options.get("rbd_move_to_trash_on_remove") != "true":
        return None
    return int(options.get("rbd_move_to_trash_on_remove_expire_seconds", "0"))
