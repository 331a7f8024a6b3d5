"""Changes of images that people ask for by name, as blocking calls. What a claim's image needs is in `images`."""

import contextlib
import errno
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from provisioner.ceph import data_removal, dependents, directory, fast_create, trash_purge
from provisioner.ceph.bindings import rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import CephError, ImageMissing, ImageTaken, InUse, InvalidArgument
from provisioner.ceph.format1 import require_no_namesake
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.images import create_blank
from provisioner.ceph.interrupted import InterruptedWork, marked, require_whole
from provisioner.ceph.model import ImageSpec
from provisioner.ceph.removal_progress import Cancelled, Progress, RemovalBegun
from provisioner.ceph.where import image, image_errors, some

_LIBRBD = rbd.RBD()

_ID_BYTES = 7
"""As hexadecimal digits the longest id there may be: nobody draws the same twice."""

_SETTLED = 1.0
"""Seconds after which a name without an image is what a crash left, and not somebody's creation under way."""

_STEP = 32768
"""Objects by which an image is made smaller at a time."""


class Changed(CephError):  # noqa: N818 - named after what happened, as all of them
    """The image is not any more what the caller has seen."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What has to be true right before a change."""

    check: Callable[[ImageHeader], None] = lambda _: None
    """Raises when the image must not be touched."""

    def pass_(self, ioctx: Any, name: str, finishes: tuple[InterruptedWork, ...] = ()) -> ImageHeader:
        """The image's header, if nothing was begun and left unfinished but what this change `finishes`."""
        found = directory.header(ioctx, name)
        self.check(found)
        require_whole(image(ioctx, name), found, finishes)
        return found


def create(ioctx: Any, spec: ImageSpec) -> str | None:
    """Makes the image, over what a crash has left of one of that name. Its id, unless librbd drew that."""
    target = image(ioctx, spec.name)
    # Before all else: what is cleaned up below would be this one.
    require_no_namesake(ioctx, spec.name)
    try:
        return _make(ioctx, spec, target)
    except ImageTaken:
        if not _debris(ioctx, spec.name):
            raise
        with contextlib.suppress(ImageMissing), image_errors("cleaning up", target):
            _LIBRBD.remove(ioctx, spec.name)
        return _make(ioctx, spec, target)


def _make(ioctx: Any, spec: ImageSpec, target: str) -> str | None:
    drawn = replace(spec, id=secrets.token_hex(_ID_BYTES))
    if fast_create.fits(drawn):
        fast_create.create(ioctx, drawn, target)
        return drawn.id
    create_blank(ioctx, spec, target)
    return None


def _debris(ioctx: Any, name: str) -> bool:
    for pause in (_SETTLED, 0.0):
        try:
            directory.header(ioctx, name)
        except ImageMissing:
            time.sleep(pause)
        else:
            return False
    return True


def require_same(ioctx: Any, name: str, found: ImageHeader | None) -> None:
    """Raises Changed if the name has another image by now, or its image has changed: long work waits for its turn."""
    try:
        now = directory.header(ioctx, name)
    except ImageMissing:
        return  # what comes next says so, or has less to do
    if found is None or now.version != found.version:
        raise Changed(f"{image(ioctx, name)} has changed since this was allowed: look at it, and ask again")


def grow(ioctx: Any, name: str, size: int, guard: Guard) -> None:
    found = guard.pass_(ioctx, name)
    if size < found.size:
        raise InvalidArgument(
            f"{image(ioctx, name)} has {found.size} bytes, more than {size}: making it smaller destroys what lies "
            'behind; say "shrink": true if that is meant',
            code=errno.EINVAL,
        )
    target = image(ioctx, name)
    with (
        dependents.explained(ioctx, found.id, target, name),
        image_errors("resizing", target),
        rbd.Image(ioctx, name) as opened,
    ):
        opened.resize(size, allow_shrink=False)


def check_shrinkable(connection: Connection, ioctx: Any, name: str, size: int, guard: Guard) -> ImageHeader:
    found = guard.pass_(ioctx, name, (InterruptedWork.SHRINK,))
    if size > found.size:
        text = f'{image(ioctx, name)} has {found.size} bytes, less than {size}: growing it needs no "shrink"'
        raise InvalidArgument(text, code=errno.EINVAL)
    dependents.refuse_change(ioctx, found.id, image(ioctx, name), name)
    data_removal.require_deletable(connection.data_of(ioctx, found.data_pool), ioctx, found.id)
    return found


def shrink(ioctx: Any, name: str, found: ImageHeader, size: int, progress: Progress, *, operation: str) -> None:
    """In steps, since librbd tells nothing of how far it is; what is done stays done when it is stopped."""
    require_same(ioctx, name, found)
    step = _STEP * found.object_size
    what = image_errors("resizing", image(ioctx, name))
    with marked(ioctx, found, InterruptedWork.SHRINK, operation) as gone, what, rbd.Image(ioctx, name) as opened:
        for smaller in (*range(found.size - step, size, -step), size):
            opened.resize(smaller, allow_shrink=True)
            gone()
            progress((found.size - smaller) / max(found.size - size, 1))


def require_free(ioctx: Any, name: str) -> None:
    if directory.known(ioctx, name):
        raise ImageTaken(f"{image(ioctx, name)} exists already: choose another name", code=errno.EEXIST)
    require_no_namesake(ioctx, name)


def rename(ioctx: Any, name: str, new: str, guard: Guard) -> None:
    guard.pass_(ioctx, name)
    refuse_if_watched(ioctx, name)
    with image_errors("renaming", f"{image(ioctx, name)} to {new}"):
        _LIBRBD.rename(ioctx, name, new)


def check_removable(connection: Connection, ioctx: Any, name: str, guard: Guard) -> ImageHeader | None:
    """None: there is no image, only the name. Raises InUse with everything that depends on the image."""
    try:
        found = guard.pass_(ioctx, name, tuple(InterruptedWork))
    except ImageMissing:
        if directory.known(ioctx, name):
            return None
        raise
    dependents.refuse_removal(ioctx, found.id, image(ioctx, name), name)
    data_removal.require_deletable(connection.data_of(ioctx, found.data_pool), ioctx, found.id)
    return found


def remove(
    connection: Connection, ioctx: Any, name: str, found: ImageHeader | None, progress: Progress, *, operation: str
) -> None:
    require_same(ioctx, name, found)
    if found is None:
        with contextlib.suppress(ImageMissing), image_errors("removing", image(ioctx, name)):
            _LIBRBD.remove(ioctx, name)
        return
    data = connection.data_of(ioctx, found.data_pool)
    try:
        trash_purge.remove(ioctx, data, name, found, RemovalBegun(ioctx, found.id, operation, progress))
    except CephError as error:
        # Another client has removed it at the same time: librbd's own way of saying so.
        if error.code != errno.ESTALE or directory.known(ioctx, name):
            raise


def check_clone(ioctx: Any, name: str, guard: Guard) -> ImageHeader:
    found = guard.pass_(ioctx, name)
    if not found.is_clone:
        text = f"{image(ioctx, name)} is not a clone: it has no parent to part from"
        raise InvalidArgument(text, code=errno.EINVAL)
    return found


def flatten(ioctx: Any, name: str, progress: Progress) -> None:
    """Copies what a clone shares with its parent; stopping it half-way loses nothing."""
    stopped: list[Cancelled] = []

    def callback(done: int, total: int) -> int:
        try:
            progress(done / total if total else 0.0)
        except Cancelled as error:
            stopped.append(error)
            return -errno.ECANCELED
        return 0

    target = image(ioctx, name)
    try:
        with image_errors("flattening", target), rbd.Image(ioctx, name) as opened:
            opened.flatten(on_progress=callback)
    except CephError as error:
        if stopped and error.code == errno.ECANCELED:
            text = f"flattening {target} was stopped half-way: {stopped[0]}"
            raise Cancelled(text, code=errno.ECANCELED) from None
        raise


def refuse_if_watched(ioctx: Any, name: str) -> None:
    target = image(ioctx, name)
    with image_errors("opening", target), rbd.Image(ioctx, name, read_only=True) as opened:
        refuse_watchers(opened, target)


def refuse_watchers(opened: Any, target: str) -> None:
    if watchers := tuple(watcher["addr"] for watcher in opened.watchers_list()):
        raise InUse(
            f"{target} is in use at {some(watchers)}: unmap it there first; of a client that has died Ceph lets go "
            "after 30 s",
            code=errno.EBUSY,
        )
