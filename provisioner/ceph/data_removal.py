"""Removes the data of a large image by listing the pool, as blocking calls.

librbd sends a request for each object that the image can have: 268 million for an empty image of 1 PiB, which takes
days. Listing a pool takes a fraction of that, and a repeated run skips what an earlier one has removed.

The image must be in the trash, in the state in which librbd removes images, so that nothing else restores or removes
it. Only objects whose names hold the image's own id are removed, and librbd removes the image itself at the end.
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
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.object_listing import ObjectListing
from provisioner.ceph.removal_progress import RemovalBegun

LARGE_IMAGE_OBJECTS = 16384
"""Objects of the smallest image whose removal would delay everything else."""

_PLAIN = frozenset({"layering", "exclusive-lock", "deep-flatten", "striping", "data-pool", "operations"})
"""Features without an object map, by which librbd knows the existing objects, and without a journal."""
_LISTING_SPEED = 16
"""Listing an object is this many times faster than a request for one."""
_WINDOW = 128
"""Removals in flight."""
_REPORT_EVERY = 1024
_NORMAL, _REMOVING = 0, 2
"""States of a trash entry."""


def read_prefix(ioctx: Any, identifier: str) -> str | None:
    """The prefix of the names of the image's data objects; None if it is not one of a known release."""
    for key, value in directory.read_omap(ioctx, cls_rbd.HEADER_PREFIX + identifier, "", "object_prefix", 1):
        prefix = cls_rbd.decode_text(value)
        if key == "object_prefix" and re.fullmatch(rf"rbd_data\.(\d+\.)?{re.escape(identifier)}", prefix):
            return prefix
    return None


def require_delete_permission(data: ObjectListing | None, ioctx: Any, identifier: str) -> None:
    """Raises Denied if the user may not remove objects. Tries it on an object that never exists."""
    prefix = read_prefix(ioctx, identifier)
    if prefix is None or data is None:
        return
    try:
        with translated("removing", f"data of image id {identifier} from pool {pool_path(data.ioctx)}"):
            data.ioctx.remove_object(f"{prefix}.{'f' * 16}")
    except Missing:
        return


def can_sweep(data: ObjectListing, found: ImageHeader) -> bool:
    """Whether `sweep` may remove the image's data and is faster than librbd."""
    if found.max_objects < LARGE_IMAGE_OBJECTS or found.snapshots or not set(found.features) <= _PLAIN:
        return False
    with translated("reading", f"the statistics of pool {pool_path(data.ioctx)}"):
        return int(data.ioctx.get_stats()["num_objects"]) <= _LISTING_SPEED * found.max_objects


def sweep(ioctx: Any, data: ObjectListing, found: ImageHeader, begun: RemovalBegun) -> None:
    """Removes the data and sets the size to 0. If the pool cannot be listed, librbd removes the data instead."""
    prefix = read_prefix(ioctx, found.id)
    if prefix is None:
        return
    with removing_state(ioctx, found.id, begun):
        # As librbd does before it removes data. From now on nothing opens the image by its name.
        dependents.require_removable(ioctx, found.id, f"image {pool_path(ioctx)} id {found.id}")
        try:
            _remove_all(data, prefix, begun)
        except (Denied, Unreadable):
            return  # the user may not list objects, or the pool has names that the binding cannot decode
        with image_errors("removing", f"image id {found.id}"):
            ioctx.execute(cls_rbd.HEADER_PREFIX + found.id, cls_rbd.CLASS_NAME, "set_size", struct.pack("<Q", 0))


def _remove_all(data: ObjectListing, prefix: str, begun: RemovalBegun) -> None:
    target = f"the objects of pool {pool_path(data.ioctx)}"
    own = re.compile(rf"{re.escape(prefix)}\.[0-9a-f]{{16}}")
    pending: deque[Any] = deque()
    try:
        with translated("listing", target):
            expected = max(int(data.ioctx.get_stats()["num_objects"]), 1)
            for number, listed in enumerate(data.iterate()):
                if number % _REPORT_EVERY == 0:
                    begun.report(min(number / expected, 0.99))
                if own.fullmatch(listed.key):
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
    """Sets the state that librbd sets while it removes an image. It stays if the body fails after data was lost."""
    set_state(ioctx, identifier, _REMOVING, _NORMAL)
    try:
        yield
    except BaseException:
        if not begun.data_lost:
            set_state(ioctx, identifier, _NORMAL, _REMOVING)
        raise


def set_removing(ioctx: Any, identifier: str) -> None:
    """Keeps other tools from restoring an image whose removal was interrupted."""
    with contextlib.suppress(ImageMissing, InUse):
        set_state(ioctx, identifier, _REMOVING, _NORMAL)


def set_state(ioctx: Any, identifier: str, state: int, expected: int) -> None:
    """Changes the state of a trash entry. Raises InUse if it is neither of the two."""
    request = cls_rbd.encode_text(identifier) + bytes((state, expected))
    try:
        with image_errors("removing", f"trash entry {identifier} of {pool_path(ioctx)}"):
            ioctx.execute(cls_rbd.TRASH, cls_rbd.CLASS_NAME, "trash_state_set", request)
    except CephError as error:
        if error.code != errno.ESTALE:
            raise
        text = f"trash entry {identifier} of {pool_path(ioctx)} is being moved or restored by another client: retry"
        raise InUse(text, code=errno.EBUSY) from error
