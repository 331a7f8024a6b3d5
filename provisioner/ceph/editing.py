"""Changes images by name for the REST API, as blocking calls. The images of claims are in `images` and `removal`."""

import contextlib
import errno
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from provisioner.ceph import data_removal, dependents, directory, fast_create, flattening, trash_purge
from provisioner.ceph.bindings import rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import (
    CephError,
    ImageMissing,
    ImageTaken,
    InUse,
    InvalidArgument,
    first_names,
    image_errors,
    image_label,
)
from provisioner.ceph.format1 import require_no_format1_image
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.images import create_with_librbd
from provisioner.ceph.interrupted import InterruptedWork, mark_held, require_complete
from provisioner.ceph.model import ImageSpec
from provisioner.ceph.removal_progress import RemovalBegun, ReportProgress

_LIBRBD = rbd.RBD()

_ID_BYTES = 7
"""Random bytes of an id. As hexadecimal digits they fill the longest id that librbd accepts."""

_SETTLE_SECONDS = 1.0
"""Seconds after which a name without an image counts as left by a crash, not as a running creation."""

_SHRINK_STEP_OBJECTS = 32768
"""Objects by which one call shrinks an image."""


class ImageChanged(CephError):  # noqa: N818 - named after the condition, as all errors of Ceph
    """The image has changed since the caller read it."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition that must hold right before a change."""

    check: Callable[[ImageHeader], None] = lambda _: None
    """Raises if the image must not be changed."""

    def require(self, ioctx: Any, name: str, finishes: tuple[InterruptedWork, ...] = ()) -> ImageHeader:
        """The image's header. Raises InUse for interrupted work, except work that this change `finishes`."""
        found = directory.get_header(ioctx, name)
        self.check(found)
        require_complete(image_label(ioctx, name), found, finishes)
        return found


def create(ioctx: Any, spec: ImageSpec) -> str | None:
    """Creates the image and removes an incomplete one with its name before. Returns the id unless librbd drew it."""
    target = image_label(ioctx, spec.name)
    # First, since the removal below would remove this image.
    require_no_format1_image(ioctx, spec.name)
    try:
        return _create_new(ioctx, spec, target)
    except ImageTaken:
        if not _is_incomplete(ioctx, spec.name):
            raise
        with contextlib.suppress(ImageMissing), image_errors("cleaning up", target):
            _LIBRBD.remove(ioctx, spec.name)
        return _create_new(ioctx, spec, target)


def _create_new(ioctx: Any, spec: ImageSpec, target: str) -> str | None:
    drawn = replace(spec, id=secrets.token_hex(_ID_BYTES))
    if fast_create.can_create(drawn):
        fast_create.create(ioctx, drawn, target)
        return drawn.id
    create_with_librbd(ioctx, spec, target)
    return None


def _is_incomplete(ioctx: Any, name: str) -> bool:
    for pause in (_SETTLE_SECONDS, 0.0):
        try:
            directory.get_header(ioctx, name)
        except ImageMissing:
            time.sleep(pause)
        else:
            return False
    return True


def require_unchanged(ioctx: Any, name: str, found: ImageHeader | None) -> None:
    """Raises ImageChanged if the image has changed or been replaced while long work waited for a thread."""
    try:
        now = directory.get_header(ioctx, name)
    except ImageMissing:
        return  # the work that follows reports that, or has less to do
    if found is None or now.version != found.version:
        raise ImageChanged(f"{image_label(ioctx, name)} has changed since the request was checked: read it and retry")


def grow(ioctx: Any, name: str, size: int, guard: Guard) -> None:
    """Grows the image to `size` bytes. Raises InvalidArgument for a smaller size."""
    found = guard.require(ioctx, name)
    if size < found.size:
        raise InvalidArgument(
            f"{image_label(ioctx, name)} has {found.size} bytes, more than {size}: shrinking it destroys the data "
            'behind the new end; to shrink it, set "shrink": true',
            code=errno.EINVAL,
        )
    target = image_label(ioctx, name)
    with (
        dependents.explained_refusal(ioctx, found.id, target, name),
        image_errors("resizing", target),
        rbd.Image(ioctx, name) as opened,
    ):
        opened.resize(size, allow_shrink=False)


def check_shrinkable(connection: Connection, ioctx: Any, name: str, size: int, guard: Guard) -> ImageHeader:
    """The image's header. Raises InvalidArgument for a larger size, and InUse while the image is in use."""
    found = guard.require(ioctx, name, (InterruptedWork.SHRINK,))
    if size > found.size:
        text = f'{image_label(ioctx, name)} has {found.size} bytes, less than {size}: to grow it, leave out "shrink"'
        raise InvalidArgument(text, code=errno.EINVAL)
    dependents.require_changeable(ioctx, found.id, image_label(ioctx, name), name)
    data_removal.require_delete_permission(connection.data_objects(ioctx, found.data_pool), ioctx, found.id)
    return found


def shrink(ioctx: Any, name: str, found: ImageHeader, size: int, progress: ReportProgress, *, operation: str) -> None:
    """Shrinks in steps, since librbd reports no progress. What an interrupted call has removed stays removed."""
    require_unchanged(ioctx, name, found)
    step = _SHRINK_STEP_OBJECTS * found.object_size
    what = image_errors("resizing", image_label(ioctx, name))
    with mark_held(ioctx, found, InterruptedWork.SHRINK, operation) as gone, what, rbd.Image(ioctx, name) as opened:
        for smaller in (*range(found.size - step, size, -step), size):
            opened.resize(smaller, allow_shrink=True)
            gone()
            progress((found.size - smaller) / max(found.size - size, 1))


def require_name_free(ioctx: Any, name: str) -> None:
    """Raises ImageTaken if an image of either format has this name."""
    if directory.has_name(ioctx, name):
        raise ImageTaken(f"{image_label(ioctx, name)} exists already: choose another name", code=errno.EEXIST)
    require_no_format1_image(ioctx, name)


def rename(ioctx: Any, name: str, new: str, guard: Guard) -> None:
    guard.require(ioctx, name)
    require_no_watchers(ioctx, name)
    with image_errors("renaming", f"{image_label(ioctx, name)} to {new}"):
        _LIBRBD.rename(ioctx, name, new)


def check_removable(connection: Connection, ioctx: Any, name: str, guard: Guard) -> ImageHeader | None:
    """The image's header; None for a name without an image. Raises InUse with everything that depends on the image."""
    try:
        found = guard.require(ioctx, name, tuple(InterruptedWork))
    except ImageMissing:
        if directory.has_name(ioctx, name):
            return None
        raise
    dependents.require_removable(ioctx, found.id, image_label(ioctx, name), name)
    data_removal.require_delete_permission(connection.data_objects(ioctx, found.data_pool), ioctx, found.id)
    return found


def remove(
    connection: Connection,
    ioctx: Any,
    name: str,
    found: ImageHeader | None,
    progress: ReportProgress,
    *,
    operation: str,
) -> None:
    require_unchanged(ioctx, name, found)
    if found is None:
        with contextlib.suppress(ImageMissing), image_errors("removing", image_label(ioctx, name)):
            _LIBRBD.remove(ioctx, name)
        return
    data = connection.data_objects(ioctx, found.data_pool)
    try:
        trash_purge.remove(ioctx, data, name, found, RemovalBegun(ioctx, found.id, operation, progress))
    except CephError as error:
        # librbd's error if another client removes the image at the same time.
        if error.code != errno.ESTALE or directory.has_name(ioctx, name):
            raise


def check_flattenable(ioctx: Any, name: str, guard: Guard) -> ImageHeader:
    """The header of a clone. Raises InvalidArgument for another image."""
    found = guard.require(ioctx, name)
    if not found.is_clone:
        text = f"{image_label(ioctx, name)} is not a clone: it has no parent to flatten"
        raise InvalidArgument(text, code=errno.EINVAL)
    return found


def flatten(ioctx: Any, name: str, progress: ReportProgress) -> None:
    """Copies the data that a clone shares with its parent. An interrupted call loses nothing."""
    with image_errors("flattening", image_label(ioctx, name)), rbd.Image(ioctx, name) as opened:
        flattening.flatten(opened, image_label(ioctx, name), progress)


def require_no_watchers(ioctx: Any, name: str) -> None:
    """Raises InUse with the addresses of the clients that have the image open."""
    target = image_label(ioctx, name)
    with image_errors("opening", target), rbd.Image(ioctx, name, read_only=True) as opened:
        require_none_watching(opened, target)


def require_none_watching(opened: Any, target: str) -> None:
    if watchers := tuple(watcher["addr"] for watcher in opened.watchers_list()):
        raise InUse(
            f"{target} is in use at {first_names(watchers)}: unmap it there first; Ceph drops the watch of a dead "
            "client after 30 s",
            code=errno.EBUSY,
        )
