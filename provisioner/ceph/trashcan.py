"""The trash of a pool as people use it, as blocking calls. Entries are called by their identifier: names may repeat."""

import errno
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provisioner.ceph import directory, headers
from provisioner.ceph.binding import rbd
from provisioner.ceph.editing import (
    Guard,
    Progress,
    cancellable,
    explain_snapshots,
    refuse_if_watched,
    refuse_watchers,
)
from provisioner.ceph.errors import Denied, ImageMissing, InUse, translated
from provisioner.ceph.headers import Header
from provisioner.ceph.unfinished import Work, mark, require_whole
from provisioner.ceph.where import image, image_errors, place

_LIBRBD = rbd.RBD()
_MOST = 1000
_TRASH, _ID = "rbd_trash", "id_"
_SOURCES = ("USER", "MIRRORING", "MIGRATION", "REMOVING", "USER_PARENT")


@dataclass(frozen=True, slots=True)
class Thrown:
    id: str
    name: str
    source: str
    """Who put it there: USER; REMOVING is an image that is being removed, or was when its remover died."""
    deleted: datetime
    until: datetime
    """Not to be purged before, unless by force."""
    header: Header | None
    """None: its removal stopped half-way."""


def listing(ioctx: Any, after: str, limit: int) -> list[Thrown]:
    """Up to `limit` entries in the order of their identifiers, the first one after `after`.

    Read from the trash's own object: librbd's list leaves out what it is removing, or was when it was killed.
    """
    with translated("listing", f"the trash of {place(ioctx)}"):
        found = directory.omap(ioctx, _TRASH, _ID + after if after else "", _ID, limit)
    return [_thrown(ioctx, key.removeprefix(_ID), value) for key, value in found]


def count(ioctx: Any) -> int:
    total, after = 0, ""
    while found := directory.omap(ioctx, _TRASH, after, _ID, _MOST):
        total, after = total + len(found), found[-1][0]
    return total


def show(ioctx: Any, identifier: str) -> Thrown:
    target = _target(ioctx, identifier)
    with image_errors("looking up", target):
        for key, value in directory.omap(ioctx, _TRASH, "", _ID + identifier, 1):
            if key == _ID + identifier:
                return _thrown(ioctx, identifier, value)
    raise ImageMissing(f"{target} does not exist", code=errno.ENOENT)


def _thrown(ioctx: Any, identifier: str, value: bytes) -> Thrown:
    """Encoded by `cls_rbd`: version and length in 6 bytes, where it is from, its name, two times, a state."""
    source = value[6]
    name = headers.decode_text(value[7:])
    deleted, _, until, _ = struct.unpack_from("<IIII", value, 11 + len(name.encode()))
    return Thrown(
        id=identifier,
        name=name,
        source=_SOURCES[source] if source < len(_SOURCES) else str(source),
        deleted=datetime.fromtimestamp(deleted, UTC),
        until=datetime.fromtimestamp(until, UTC),
        header=directory.header_by_id(ioctx, identifier, name),
    )


def throw(ioctx: Any, name: str, guard: Guard, delay: int) -> str:
    """Moves the image to the trash; its identifier there. Asks first what librbd does not: who watches or depends."""
    found = guard.pass_(ioctx, name)
    if found.snapshots:
        explain_snapshots(ioctx, name)
    refuse_if_watched(ioctx, name)
    with image_errors("moving to the trash", image(ioctx, name)):
        _LIBRBD.trash_move(ioctx, name, delay)
    return found.id


def restore(ioctx: Any, identifier: str, name: str | None) -> str:
    """Under its old name unless another one is given; returns the name."""
    entry = show(ioctx, identifier)
    target = _target(ioctx, identifier)
    if entry.header is None:
        raise InUse(f"{target} is not whole: its removal was begun; purge it again", code=errno.EBUSY)
    require_whole(target, entry.header)
    with image_errors("restoring", f"{target} as {name or entry.name}"):
        _LIBRBD.trash_restore(ioctx, identifier, name or entry.name)
    return name or entry.name


def check_purgeable(ioctx: Any, identifier: str, *, force: bool) -> Thrown:
    entry = show(ioctx, identifier)
    if entry.until > datetime.now(UTC) and not force:
        raise Denied(
            f"{_target(ioctx, identifier)} is kept until {entry.until:%Y-%m-%dT%H:%M:%SZ}: wait, or force it",
            code=errno.EPERM,
        )
    if entry.header is not None:
        target = _target(ioctx, identifier)
        with image_errors("opening", target), rbd.Image(ioctx, image_id=identifier, read_only=True) as opened:
            refuse_watchers(opened, target)
    return entry


def purge(ioctx: Any, entry: Thrown, progress: Progress, operation: str) -> None:
    if entry.header is not None:
        mark(ioctx, entry.id, Work.REMOVE, operation)
    try:
        with cancellable("purging", _target(ioctx, entry.id), entry.header, progress) as callback:
            _LIBRBD.trash_remove(ioctx, entry.id, force=True, on_progress=callback)
    except ImageMissing:
        return


def _target(ioctx: Any, identifier: str) -> str:
    return f"trash entry {identifier} of {place(ioctx)}"
