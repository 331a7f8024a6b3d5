"""The trash of a pool as people use it, as blocking calls. Entries are called by their identifier: names may repeat."""

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from provisioner.ceph import data_removal, dependents, directory, image_header, trash_purge
from provisioner.ceph.bindings import rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.editing import Guard
from provisioner.ceph.errors import Denied, ImageMissing, InUse, translated
from provisioner.ceph.format1 import require_no_namesake
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.interrupted import require_whole, unfinished
from provisioner.ceph.removal_progress import Progress
from provisioner.ceph.trash_purge import target_of
from provisioner.ceph.where import image, image_errors, place

_LIBRBD = rbd.RBD()
_MOST = 1000
_TRASH, _ID = "rbd_trash", "id_"
_SOURCES = ("USER", "MIRRORING", "MIGRATION", "REMOVING", "USER_PARENT")
_REMOVING = 2
_BEGUN = "its removal was begun and some of its data may be gone: purge it"


@dataclass(frozen=True, slots=True)
class TrashEntry:
    id: str
    name: str
    source: str
    """Who put it there: USER; REMOVING is an image that is being removed, or was when its remover died."""
    deleted: datetime
    until: datetime
    """Not to be purged before, unless by force."""
    header: ImageHeader | None
    """None: its removal stopped half-way."""
    removing: bool = False
    """librbd, or we, have begun to remove it; only that can be gone on with."""

    @property
    def unfinished(self) -> str | None:
        """What was begun with it and what to do about it, in words."""
        if self.header is None:
            return None
        said = unfinished(self.header)
        return said if said or not self.removing else _BEGUN


def listing(ioctx: Any, after: str, limit: int) -> list[TrashEntry]:
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


def show(ioctx: Any, identifier: str) -> TrashEntry:
    target = target_of(ioctx, identifier)
    with image_errors("looking up", target):
        for key, value in directory.omap(ioctx, _TRASH, "", _ID + identifier, 1):
            if key == _ID + identifier:
                return _thrown(ioctx, identifier, value)
    raise ImageMissing(f"{target} does not exist", code=errno.ENOENT)


def _thrown(ioctx: Any, identifier: str, value: bytes) -> TrashEntry:
    found = decode(identifier, value)
    return replace(found, header=directory.header_by_id(ioctx, identifier, found.name))


def decode(identifier: str, value: bytes) -> TrashEntry:
    """Without its header: version and length in 6 bytes, where it is from, its name, two times, a state. Pure."""
    source = value[trash_purge.SOURCE]
    name = image_header.decode_text(value[7:])
    end = 11 + len(name.encode())
    deleted, _, until, _ = struct.unpack_from("<IIII", value, end)
    return TrashEntry(
        id=identifier,
        name=name,
        source=_SOURCES[source] if source < len(_SOURCES) else str(source),
        deleted=datetime.fromtimestamp(deleted, UTC),
        until=datetime.fromtimestamp(until, UTC),
        header=None,
        removing=value[end + 16 : end + 17] == bytes([_REMOVING]),
    )


def everything(ioctx: Any) -> Iterator[TrashEntry]:
    """All entries, without their headers.

    Not by librbd's list: its binding fails with an IndexError at the source of a migration.
    """
    after = ""
    with translated("listing", f"the trash of {place(ioctx)}"):
        while found := directory.omap(ioctx, _TRASH, after, _ID, _MOST):
            yield from (decode(key.removeprefix(_ID), value) for key, value in found)
            after = found[-1][0]


def throw(ioctx: Any, name: str, guard: Guard, delay: int) -> str:
    """Moves the image to the trash; its identifier there. Asks first what librbd does not: who watches or depends."""
    found = guard.pass_(ioctx, name)
    dependents.refuse_removal(ioctx, found.id, image(ioctx, name), name)
    with image_errors("moving to the trash", image(ioctx, name)):
        _LIBRBD.trash_move(ioctx, name, delay)
    return found.id


def restore(ioctx: Any, identifier: str, name: str | None) -> str:
    """Under its old name unless another one is given; returns the name."""
    entry = show(ioctx, identifier)
    target = target_of(ioctx, identifier)
    if entry.header is None:
        raise InUse(f"{target} is not whole: its removal was begun; purge it again", code=errno.EBUSY)
    require_whole(target, entry.header)
    if entry.removing or entry.source == "REMOVING":
        raise InUse(f"{target} is not whole: {_BEGUN}", code=errno.EBUSY)
    require_no_namesake(ioctx, name or entry.name)
    with image_errors("restoring", f"{target} as {name or entry.name}"):
        _LIBRBD.trash_restore(ioctx, identifier, name or entry.name)
    return name or entry.name


def check_purgeable(connection: Connection, ioctx: Any, identifier: str, *, force: bool) -> TrashEntry:
    entry = show(ioctx, identifier)
    target = target_of(ioctx, identifier)
    if entry.until > datetime.now(UTC) and not force:
        raise Denied(
            f"{target} is kept until {entry.until:%Y-%m-%dT%H:%M:%SZ}: wait, or force it",
            code=errno.EPERM,
        )
    if entry.header is not None:
        dependents.refuse_removal(ioctx, identifier, target)
        data_removal.require_deletable(connection.data_of(ioctx, entry.header.data_pool), ioctx, identifier)
    return entry


def purge(connection: Connection, ioctx: Any, entry: TrashEntry, progress: Progress, operation: str) -> None:
    data = connection.data_of(ioctx, entry.header.data_pool) if entry.header else None
    trash_purge.purge(ioctx, data, entry.id, progress, operation)
