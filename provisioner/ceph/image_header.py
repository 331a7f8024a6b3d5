"""What an image's header object says: pure.

The header is a map of a dozen keys, and one operation reads all of them, where opening the image through librbd takes
five or more and a place among its watchers. The format is that of every RBD image since 2012 (``cls_rbd``): numbers,
little-endian, under the keys `size`, `features`, `order`, …; metadata under `metadata_<key>`; one key per snapshot.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from provisioner.ceph.model import feature_names

METADATA_PREFIX = "metadata_"
_SNAPSHOT_PREFIX = "snapshot_"
_VOLATILE = frozenset({"access_timestamp", "modify_timestamp", "flags"})
_U64 = struct.Struct("<Q")
_MAP_INVALID = 0b11
"""The object map, or the differences that are derived from it, can't be trusted until they are rebuilt."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    id: str
    size: int
    features: tuple[str, ...]
    order: int
    created: datetime
    stripe_unit: int | None
    stripe_count: int | None
    data_pool: int | None
    """The pool's number; None: the data lie in the image's own pool."""
    snapshots: int
    is_clone: bool
    map_usable: bool
    """There is an object map, and it is right."""
    metadata: Mapping[str, str]
    version: str
    """Changes with everything above, and when a snapshot is made, removed or protected. Not with the data."""

    @property
    def max_objects(self) -> int:
        """That the image can have, not those that it has."""
        return -(-self.size // self.object_size)

    @property
    def object_size(self) -> int:
        return 1 << self.order


def decode(identifier: str, name: str, items: Mapping[str, bytes]) -> ImageHeader | None:
    """None for a header that lacks what every image has: its creation or removal stopped half-way."""
    if "size" not in items or "features" not in items or "order" not in items:
        return None
    features = feature_names(_number(items, "features") or 0)
    return ImageHeader(
        id=identifier,
        size=_U64.unpack(items["size"])[0],
        features=features,
        order=items["order"][0],
        created=_timestamp(items.get("create_timestamp")),
        stripe_unit=_number(items, "stripe_unit"),
        stripe_count=_number(items, "stripe_count"),
        data_pool=_number(items, "data_pool_id"),
        snapshots=sum(key.startswith(_SNAPSHOT_PREFIX) for key in items),
        is_clone="parent" in items,
        map_usable="object-map" in features and not (_number(items, "flags") or 0) & _MAP_INVALID,
        metadata=MappingProxyType(
            {
                key.removeprefix(METADATA_PREFIX): value.decode(errors="replace")
                for key, value in items.items()
                if key.startswith(METADATA_PREFIX)
            }
        ),
        version=_version(name, identifier, items),
    )


def decode_text(value: bytes) -> str:
    (length,) = struct.unpack_from("<I", value)
    return value[4 : 4 + length].decode(errors="replace")


# How many of the four objects in a byte of an object map are there: two bits each, 0 for "does not exist".
_PRESENT = bytes(sum(1 for shift in (0, 2, 4, 6) if byte >> shift & 3) for byte in range(256))


def objects_present(encoded: bytes) -> int:
    """Counts those of an object map as the OSD's class sends it: header, bits, checksums, each after its length."""
    (length,) = struct.unpack_from("<I", encoded)
    (objects,) = _U64.unpack_from(encoded, 4 + length - _U64.size)
    start = 4 + length
    return sum(encoded[start : start + (objects + 3) // 4].translate(_PRESENT))


def _number(items: Mapping[str, bytes], key: str) -> int | None:
    value = items.get(key)
    return None if value is None else int(_U64.unpack(value)[0])


def _timestamp(value: bytes | None) -> datetime:
    seconds = struct.unpack_from("<I", value)[0] if value else 0
    return datetime.fromtimestamp(seconds, UTC)


def _version(name: str, identifier: str, items: Mapping[str, bytes]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for part in (name.encode(), identifier.encode()):
        digest.update(_U64.pack(len(part)) + part)
    for key, value in sorted(items.items()):
        if key not in _VOLATILE:
            digest.update(_U64.pack(len(key)) + key.encode(errors="replace") + _U64.pack(len(value)) + value)
    return digest.hexdigest()
