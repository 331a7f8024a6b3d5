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
from provisioner.ceph.errors import Denied, ImageMissing, InUse, image_errors, image_label, pool_path, translated
from provisioner.ceph.format1 import require_no_format1_image
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.interrupted import explain, require_complete
from provisioner.ceph.removal_progress import ReportProgress
from provisioner.ceph.trash_purge import entry_label

_LIBRBD = rbd.RBD()
_KEYS_PER_READ = 1000
_TRASH, _ID = "rbd_trash", "id_"
_SOURCES = ("USER", "MIRRORING", "MIGRATION", "REMOVING", "USER_PARENT")
_REMOVING = 2
_REMOVAL_BEGUN = "its removal was begun and some of its data may be gone: purge it"


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
        said = explain(self.header)
        return said if said or not self.removing else _REMOVAL_BEGUN


def list_entries(ioctx: Any, after: str, limit: int) -> list[TrashEntry]:
    """Up to `limit` entries in the order of their identifiers, the first one after `after`.

    Read from the trash's own object: librbd's list leaves out what it is removing, or was when it was killed.
    """
    with translated("listing", f"the trash of {pool_path(ioctx)}"):
        found = directory.read_omap(ioctx, _TRASH, _ID + after if after else "", _ID, limit)
    return [_with_header(ioctx, key.removeprefix(_ID), value) for key, value in found]


def count_entries(ioctx: Any) -> int:
    total, after = 0, ""
    while found := directory.read_omap(ioctx, _TRASH, after, _ID, _KEYS_PER_READ):
        total, after = total + len(found), found[-1][0]
    return total


def get_entry(ioctx: Any, identifier: str) -> TrashEntry:
    target = entry_label(ioctx, identifier)
    with image_errors("looking up", target):
        for key, value in directory.read_omap(ioctx, _TRASH, "", _ID + identifier, 1):
            if key == _ID + identifier:
                return _with_header(ioctx, identifier, value)
    raise ImageMissing(f"{target} does not exist", code=errno.ENOENT)


def _with_header(ioctx: Any, identifier: str, value: bytes) -> TrashEntry:
    found = decode(identifier, value)
    return replace(found, header=directory.find_header(ioctx, identifier, found.name))


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


def iterate_entries(ioctx: Any) -> Iterator[TrashEntry]:
    """All entries, without their headers.

    Not by librbd's list: its binding fails with an IndexError at the source of a migration.
    """
    after = ""
    with translated("listing", f"the trash of {pool_path(ioctx)}"):
        while found := directory.read_omap(ioctx, _TRASH, after, _ID, _KEYS_PER_READ):
            yield from (decode(key.removeprefix(_ID), value) for key, value in found)
            after = found[-1][0]


def move_to_trash(ioctx: Any, name: str, guard: Guard, delay: int) -> str:
    """Moves the image to the trash; its identifier there. Asks first what librbd does not: who watches or depends."""
    found = guard.require(ioctx, name)
    dependents.require_removable(ioctx, found.id, image_label(ioctx, name), name)
    with image_errors("moving to the trash", image_label(ioctx, name)):
        _LIBRBD.trash_move(ioctx, name, delay)
    return found.id


def restore(ioctx: Any, identifier: str, name: str | None) -> str:
    """Under its old name unless another one is given; returns the name."""
    entry = get_entry(ioctx, identifier)
    target = entry_label(ioctx, identifier)
    if entry.header is None:
        raise InUse(f"{target} is not whole: its removal was begun; purge it again", code=errno.EBUSY)
    require_complete(target, entry.header)
    if entry.removing or entry.source == "REMOVING":
        raise InUse(f"{target} is not whole: {_REMOVAL_BEGUN}", code=errno.EBUSY)
    require_no_format1_image(ioctx, name or entry.name)
    with image_errors("restoring", f"{target} as {name or entry.name}"):
        _LIBRBD.trash_restore(ioctx, identifier, name or entry.name)
    return name or entry.name


def check_purgeable(connection: Connection, ioctx: Any, identifier: str, *, force: bool) -> TrashEntry:
    entry = get_entry(ioctx, identifier)
    target = entry_label(ioctx, identifier)
    if entry.until > datetime.now(UTC) and not force:
        raise Denied(
            f"{target} is kept until {entry.until:%Y-%m-%dT%H:%M:%SZ}: wait, or force it",
            code=errno.EPERM,
        )
    if entry.header is not None:
        dependents.require_removable(ioctx, identifier, target)
        data_removal.require_delete_permission(
            connection.data_objects(ioctx, entry.header.data_pool), ioctx, identifier
        )
    return entry


def purge(connection: Connection, ioctx: Any, entry: TrashEntry, progress: ReportProgress, operation: str) -> None:
    data = connection.data_objects(ioctx, entry.header.data_pool) if entry.header else None
    trash_purge.purge(ioctx, data, entry.id, progress, operation)
