"""Getting rid of images, as blocking calls: at once, or through the trash. Nothing that is needed ever goes."""

import contextlib
from datetime import UTC, datetime
from typing import Any

from provisioner.ceph import finding
from provisioner.ceph.binding import rbd
from provisioner.ceph.errors import ImageMissing, InUse, Missing, NoSpace, translated
from provisioner.ceph.images import Fence, identity, mark
from provisioner.ceph.model import Image, Sought, Trashed
from provisioner.ceph.where import image, image_errors, place, some
from sutler.volumes.identity import names_itself

LARGE = 16384
"""Objects from which on a removal would be in the way of everything else: it goes through them one by one."""

_LIBRBD = rbd.RBD()


def removable(ioctx: Any, sought: Sought) -> Image | None:
    """The image, if it may be removed; None if it is gone. Raises InUse or ImageTaken with what is in the way.

    Asked before every removal: librbd happily moves an image with watchers or snapshots to the trash, and one with
    snapshots can never be removed from there.
    """
    found = finding.find(ioctx, sought)
    if found is None:
        return None
    target = image(ioctx, found.name)
    if found.children:
        raise InUse(f"{target} is kept: clones depend on it: {some(found.children)}; flatten or delete them first")
    if found.snapshots:
        raise InUse(f"{target} is kept: it has snapshots: {some(found.snapshots)}; delete them first (rbd snap rm)")
    if found.watchers:
        raise InUse(f"{target} is kept: it is in use at {some(found.watchers)}; unmap it there first")
    return found


def remove(ioctx: Any, sought: Sought, fence: Fence) -> str | None:
    """Removes the image. One that is gone is a success, and a half-removed one is cleaned up.

    A large one is only moved to the trash; its id comes back, to be removed from there with all the time that it takes.
    """
    found = removable(ioctx, sought)
    name = found.name if found is not None else sought.name
    if found is not None and found.size // found.object_size >= LARGE and "object-map" not in found.features:
        _move(ioctx, found, fence, delay=0)
        return found.id
    fence()
    target = image(ioctx, name)
    try:
        with image_errors("removing", target):
            _LIBRBD.remove(ioctx, name)
    except ImageMissing:
        if found is not None:
            _require_gone(ioctx, name, target)
    return None


def trash(ioctx: Any, sought: Sought, fence: Fence, *, delay: int) -> None:
    """Moves the image to the trash, where it can be restored for `delay` seconds at least."""
    found = removable(ioctx, sought)
    if found is not None:
        _move(ioctx, found, fence, delay=delay)


def _move(ioctx: Any, found: Image, fence: Fence, *, delay: int) -> None:
    fence()
    name = found.name
    target = image(ioctx, name)
    if not names_itself(found.metadata, ioctx.get_pool_id(), found.id):
        # In the trash there is no volume any more that would prove whose it is.
        mark(ioctx, found.id, {}, target)
    try:
        with image_errors("moving to the trash", target):
            _LIBRBD.trash_move(ioctx, name, delay)
    except ImageMissing:
        _require_gone(ioctx, name, target)


def _require_gone(ioctx: Any, name: str, target: str) -> None:
    """Librbd says "no such file" of much, for example of a trash that a full pool has no room for."""
    try:
        identity(ioctx, name)
    except ImageMissing:
        return
    raise NoSpace(f"removing {target}: it is still there: is the pool full or over its quota?")


def trash_listing(ioctx: Any) -> list[Trashed]:
    with translated("listing", f"the trash of {place(ioctx)}"):
        return [
            Trashed(entry["name"], entry["id"], _utc(entry["deletion_time"]), _utc(entry["deferment_end_time"]))
            for entry in _LIBRBD.trash_list(ioctx)
            if entry["source"] == "USER"
        ]


def trash_remove(ioctx: Any, identifier: str, fence: Fence) -> None:
    fence()
    target = f"{place(ioctx)} id {identifier}"
    with contextlib.suppress(Missing), translated("removing from the trash", target):
        _LIBRBD.trash_remove(ioctx, identifier)


def trash_restore(ioctx: Any, identifier: str, name: str, fence: Fence) -> None:
    fence()
    with image_errors("restoring", image(ioctx, name)):
        _LIBRBD.trash_restore(ioctx, identifier, name)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
