"""One entry of a pool's trash: its encoding in the object `rbd_trash`, and the reading of it.

librbd's own list omits entries that are being removed, and its Python binding fails with an IndexError at the source of
a migration. So Sutler reads the object itself.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from provisioner.ceph import cls_rbd, directory
from provisioner.ceph.errors import pool_path, translated
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.interrupted import explain

REMOVAL_BEGUN = "its removal has begun and some of its data may be lost: purge it"

_KEY_PREFIX = "id_"
_KEYS_PER_READ = 1000
_SOURCES = ("USER", "MIRRORING", "MIGRATION", "REMOVING", "USER_PARENT")
_SOURCE_OFFSET = 6
_REMOVING = 2


@dataclass(frozen=True, slots=True)
class TrashEntry:
    id: str
    name: str
    source: str
    """What moved the image there: USER; REMOVING is an image whose removal is running or was interrupted."""
    deleted: datetime
    until: datetime
    """The entry is not purged before this time unless by force."""
    header: ImageHeader | None
    """None: not read, or the removal was interrupted after the header was removed."""
    removing: bool = False
    """librbd or Sutler has begun to remove the image; it can only be purged."""

    @property
    def unfinished(self) -> str | None:
        """The interrupted work on the image and its way out, in words."""
        if self.header is None:
            return None
        text = explain(self.header)
        return text if text or not self.removing else REMOVAL_BEGUN


def key_of(identifier: str) -> str:
    """The key of the entry in the omap of `rbd_trash`."""
    return _KEY_PREFIX + identifier


def read_raw(ioctx: Any, identifier: str) -> bytes | None:
    """The encoded entry; None if there is none."""
    key = key_of(identifier)
    return dict(directory.read_omap(ioctx, cls_rbd.TRASH, "", key, 1)).get(key)


def find(ioctx: Any, identifier: str) -> TrashEntry | None:
    """The entry without the image's header; None if there is none."""
    value = read_raw(ioctx, identifier)
    return None if value is None else decode(identifier, value)


def list_page(ioctx: Any, after: str, limit: int) -> list[TrashEntry]:
    """Up to `limit` entries without headers, ordered by identifier, from the first one after `after`."""
    with translated("listing", f"the trash of {pool_path(ioctx)}"):
        start = _KEY_PREFIX + after if after else ""
        found = directory.read_omap(ioctx, cls_rbd.TRASH, start, _KEY_PREFIX, limit)
    return [decode(key.removeprefix(_KEY_PREFIX), value) for key, value in found]


def iterate(ioctx: Any) -> Iterator[TrashEntry]:
    """All entries, without headers."""
    after = ""
    while page := list_page(ioctx, after, _KEYS_PER_READ):
        yield from page
        after = page[-1].id


def with_header(ioctx: Any, entry: TrashEntry) -> TrashEntry:
    return replace(entry, header=directory.find_header(ioctx, entry.id, entry.name))


def decode(identifier: str, value: bytes) -> TrashEntry:
    """Version and length (6 bytes), source, name, two times of 8 bytes each, state. Pure: no I/O."""
    source = value[_SOURCE_OFFSET]
    (length,) = struct.unpack_from("<I", value, 7)
    end = 11 + length
    deleted, _, until, _ = struct.unpack_from("<IIII", value, end)
    return TrashEntry(
        id=identifier,
        name=cls_rbd.decode_text(value[7:]),
        source=_SOURCES[source] if source < len(_SOURCES) else str(source),
        deleted=datetime.fromtimestamp(deleted, UTC),
        until=datetime.fromtimestamp(until, UTC),
        header=None,
        removing=value[end + 16 : end + 17] == bytes([_REMOVING]),
    )


def moved_by_user(value: bytes) -> bytes:
    """The encoded entry with the source USER. Pure: no I/O."""
    return value[:_SOURCE_OFFSET] + b"\0" + value[_SOURCE_OFFSET + 1 :]
