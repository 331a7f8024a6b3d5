"""Removing the data of a large image by listing the pool instead of asking for each object that there could be.

librbd asks for all of them: 268 million for an empty image of 1 PiB, which takes days. A pool is listed in a fraction
of that, and what an earlier run has removed is not there any more when it goes on.

The image must lie in the trash, in the state in which librbd removes images: so nothing else restores or removes it.
Only objects whose names hold the image's own id are removed, and the end is left to librbd.
"""

import contextlib
import errno
import re
import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

from provisioner.ceph import cls_rbd, dependents, directory
from provisioner.ceph.errors import (
    CephError,
    Denied,
    ImageMissing,
    InUse,
    Missing,
    Unreadable,
    from_errno,
    image_errors,
    pool_path,
    translated,
)
from provisioner.ceph.image_header import ImageHeader, decode_text
from provisioner.ceph.object_listing import ObjectListing
from provisioner.ceph.removal_progress import RemovalBegun

LARGE_IMAGE_OBJECTS = 16384
"""Objects from which on a removal would hold up everything else."""

_PLAIN = frozenset({"layering", "exclusive-lock", "deep-flatten", "striping", "data-pool", "operations"})
"""With an object map librbd knows which objects are there, and a journal has objects of its own."""
_LISTING_SPEED = 16
"""Listing an object takes this small a part of the time that asking for one takes."""
_WINDOW = 128
"""Removals under way at a time."""
_REPORT_EVERY = 1024
_NORMAL, _REMOVING = 0, 2
"""States of an entry in the trash."""


def read_prefix(ioctx: Any, identifier: str) -> str | None:
    """How the names of the image's data objects begin; None if that is not what a release of today gives."""
    for key, value in directory.read_omap(ioctx, cls_rbd.HEADER_PREFIX + identifier, "", "object_prefix", 1):
        prefix = decode_text(value)
        if key == "object_prefix" and re.fullmatch(rf"rbd_data\.(\d+\.)?{re.escape(identifier)}", prefix):
            return prefix
    return None


def require_delete_permission(data: ObjectListing | None, ioctx: Any, identifier: str) -> None:
    """Raises Denied for a user who may not remove objects, before any is lost: tries one that is never there."""
    prefix = read_prefix(ioctx, identifier)
    if prefix is None or data is None:
        return
    try:
        with translated("removing", f"data of image id {identifier} from pool {pool_path(data.ioctx)}"):
            data.ioctx.remove_object(f"{prefix}.{'f' * 16}")
    except Missing:
        return


def can_sweep(data: ObjectListing, found: ImageHeader) -> bool:
    if found.max_objects < LARGE_IMAGE_OBJECTS or found.snapshots or not set(found.features) <= _PLAIN:
        return False
    with translated("asking for", f"the statistics of pool {pool_path(data.ioctx)}"):
        return int(data.ioctx.get_stats()["num_objects"]) <= _LISTING_SPEED * found.max_objects


def sweep(ioctx: Any, data: ObjectListing, found: ImageHeader, begun: RemovalBegun) -> None:
    """Leaves an image of size 0, or leaves it to librbd."""
    prefix = read_prefix(ioctx, found.id)
    if prefix is None:
        return
    with removing_state(ioctx, found.id, begun):
        # librbd looks before it removes anything, and so do we: by now it can't be found by its name any more.
        dependents.require_removable(ioctx, found.id, f"image {pool_path(ioctx)} id {found.id}")
        try:
            _remove_all(data, prefix, begun)
        except (Denied, Unreadable):
            return  # the user may not list, or the pool holds names that Python's binding can't read
        with image_errors("removing", f"image id {found.id}"):
            ioctx.execute(cls_rbd.HEADER_PREFIX + found.id, cls_rbd.CLASS_NAME, "set_size", struct.pack("<Q", 0))


def _remove_all(data: ObjectListing, prefix: str, begun: RemovalBegun) -> None:
    target = f"the objects of pool {pool_path(data.ioctx)}"
    ours = re.compile(rf"{re.escape(prefix)}\.[0-9a-f]{{16}}")
    pending: deque[Any] = deque()
    try:
        with translated("listing", target):
            expected = max(int(data.ioctx.get_stats()["num_objects"]), 1)
            for number, listed in enumerate(data.iterate()):
                if number % _REPORT_EVERY == 0:
                    begun.report(min(number / expected, 0.99))
                if ours.fullmatch(listed.key):
                    begun.record_loss()
                    pending.append(data.ioctx.aio_remove(listed.key))
                if len(pending) >= _WINDOW:
                    _finish(pending.popleft(), target)
        while pending:
            _finish(pending.popleft(), target)
    finally:
        for completion in pending:
            completion.wait_for_complete()


def _finish(completion: Any, target: str) -> None:
    completion.wait_for_complete()
    code = -completion.get_return_value()
    if code not in {0, errno.ENOENT}:
        raise from_errno(code, "removing some of", target)


@contextlib.contextmanager
def removing_state(ioctx: Any, identifier: str, begun: RemovalBegun) -> Iterator[None]:
    """As librbd does while it removes an image; unlike there, one whose data are going is never restorable again."""
    set_state(ioctx, identifier, _REMOVING, _NORMAL)
    try:
        yield
    except BaseException:
        if not begun.data_lost:
            set_state(ioctx, identifier, _NORMAL, _REMOVING)
        raise


def set_removing(ioctx: Any, identifier: str) -> None:
    """After librbd has stopped half-way: other tools must not restore what is left."""
    with contextlib.suppress(ImageMissing, InUse):
        set_state(ioctx, identifier, _REMOVING, _NORMAL)


def set_state(ioctx: Any, identifier: str, state: int, expected: int) -> None:
    request = cls_rbd.encode_text(identifier) + bytes((state, expected))
    try:
        with image_errors("removing", f"trash entry {identifier} of {pool_path(ioctx)}"):
            ioctx.execute("rbd_trash", cls_rbd.CLASS_NAME, "trash_state_set", request)
    except CephError as error:
        if error.code != errno.ESTALE:
            raise
        text = f"trash entry {identifier} of {pool_path(ioctx)} is being moved or restored by another client: try again"
        raise InUse(text, code=errno.EBUSY) from error
