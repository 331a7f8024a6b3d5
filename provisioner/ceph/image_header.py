"""Decodes an image's header object. Pure: no I/O.

The header is an omap of a dozen keys, and one operation reads all of them. Opening the image through librbd takes five
operations or more and makes Sutler a watcher. The encoding is that of `cls_rbd`: numbers under the keys `size`,
`features`, `order`, …; metadata under `metadata_<key>`; one key for each snapshot.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from provisioner.ceph import cls_rbd
from provisioner.ceph.model import feature_names

METADATA_PREFIX = "metadata_"
_SNAPSHOT_PREFIX = "snapshot_"
_VOLATILE = frozenset({"access_timestamp", "modify_timestamp", "flags"})
_U64 = struct.Struct("<Q")
_PARENT_VERSION = 2
_MAP_INVALID = 0b11
"""Bits of `flags`: the object map, or the fast-diff derived from it, is invalid until it is rebuilt."""


@dataclass(frozen=True, slots=True, order=True)
class CloneParent:
    """The snapshot that a clone was created from, by ids. Its data is the clone's, where the clone was not written."""

    pool: int
    namespace: str
    """The RADOS namespace; empty: the default one."""
    image: str
    snapshot: int


@dataclass(frozen=True, slots=True)
class ImageHeader:
    id: str
    size: int
    """Bytes."""
    features: tuple[str, ...]
    order: int
    """Objects have 2^order bytes."""
    created: datetime
    stripe_unit: int | None
    stripe_count: int | None
    data_pool: int | None
    """Number of the pool with the data; None: the image's own pool."""
    snapshots: int
    is_clone: bool
    map_usable: bool
    """The image has an object map, and it is valid."""
    metadata: Mapping[str, str]
    version: str
    """A digest of all of this and of the snapshots. Data that is written does not change it."""
    parent: CloneParent | None = None
    """None: the image is no clone, or its parent is encoded as by releases before Nautilus."""

    @property
    def max_objects(self) -> int:
        """The number of objects that the image can have; it has fewer until it is written full."""
        return -(-self.size // self.object_size)

    @property
    def object_size(self) -> int:
        return 1 << self.order


def decode(identifier: str, name: str, items: Mapping[str, bytes]) -> ImageHeader | None:
    """None for an incomplete header: the creation or the removal of the image was interrupted."""
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
        parent=_parent(items["parent"]) if "parent" in items else None,
    )


def _parent(value: bytes) -> CloneParent | None:
    """Version 2 is the pool's id, the RADOS namespace, the image's id and the snapshot's id."""
    if value[0] < _PARENT_VERSION:
        return None
    namespace, image = cls_rbd.decode_texts(value, 14, 2)
    pool = int.from_bytes(value[6:14], "little", signed=True)
    start = 14 + sum(4 + len(text.encode()) for text in (namespace, image))
    return CloneParent(pool, namespace, image, _U64.unpack_from(value, start)[0])


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
