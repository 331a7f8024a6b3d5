"""What we tell Ceph and what it tells us, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

FEATURES = {
    "layering": 1,
    "exclusive-lock": 4,
    "object-map": 8,
    "fast-diff": 16,
    "deep-flatten": 32,
    "journaling": 64,
}
"""The features that one asks for by name. striping and data-pool follow from the parameters of those names."""
REQUIRES = {"object-map": "exclusive-lock", "fast-diff": "object-map", "journaling": "exclusive-lock"}
_ALL_FEATURES = {
    **FEATURES,
    "striping": 2,
    "data-pool": 128,
    "operations": 256,
    "migrating": 512,
    "non-primary": 1024,
    "dirty-cache": 2048,
}
_MOST_BITS = 64

SECTOR = 512
"""Bytes of a block device's sector: of a size that is no multiple of it, nodes would not see the last bytes."""
SMALLEST_OBJECT, DEFAULT_OBJECT, LARGEST_OBJECT = 2**12, 2**22, 2**25
"""Bytes; 4 KiB to 32 MiB, 4 MiB unless told."""

LONGEST_NAME = 128
"""Characters of an image name. Ceph takes more, but CSI's volume handles and older kernels do not."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    name: str
    size: int
    """Exactly, in bytes."""
    features: tuple[str, ...] = ("layering",)
    object_size: int = DEFAULT_OBJECT
    stripe_unit: int | None = None
    stripe_count: int | None = None
    data_pool: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None
    """Up to 14 characters that no other image of the pool has. None: librbd draws one."""

    @property
    def feature_bits(self) -> int:
        bits = 0
        for name in self.features:
            bits |= FEATURES[name]
        # As librbd's create: without it, what an image holds is found by asking for each of its objects.
        return bits | FEATURES["fast-diff"] if "object-map" in self.features else bits

    @property
    def order(self) -> int:
        return self.object_size.bit_length() - 1


@dataclass(frozen=True, slots=True)
class RbdImage:
    name: str
    id: str
    size: int
    features: tuple[str, ...]
    object_size: int
    created: datetime
    metadata: Mapping[str, str]
    watchers: tuple[str, ...] = ()
    """Addresses of the clients that have it open."""
    snapshots: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    """Clones, as pool/[namespace/]image."""


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """An image that a volume means, by all that the volume knows of it."""

    name: str
    owner: str
    """UID of the claim that it was made for: its metadata must say the same."""
    kubernetes: str
    """The identity of this Kubernetes cluster: so must it this."""
    id: str = ""
    """Empty: not known."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image as the pool's directory names it."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class MovedToTrash:
    name: str
    id: str
    deleted: datetime
    until: datetime
    """Not to be removed before; it can be restored as long as it is there."""


@dataclass(frozen=True, slots=True)
class PoolSpace:
    """What a pool holds, in bytes unless said otherwise."""

    used: int
    """On the disks, copies included."""
    available: int
    """What the disks can still take of data, their copies counted."""
    quota: int | None
    """None without one."""
    stored: int = 0
    """Of data, copies aside: what the quota limits."""
    objects: int = 0
    quota_objects: int | None = None
    """The other quota, as a number of objects."""

    @property
    def free(self) -> int:
        """What can still be written."""
        if self.quota_objects is not None and self.objects >= self.quota_objects:
            return 0
        return self.available if self.quota is None else max(0, min(self.available, self.quota - self.stored))


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A volume in ceph-csi's journal."""

    uuid: str
    volume: str
    """Name of the PersistentVolume."""
    owner: str
    """The claim's namespace."""

    @property
    def image(self) -> str:
        return f"csi-vol-{self.uuid}"

    def handle(self, cluster_id: str, pool_number: int) -> str:
        """By which ceph-csi finds cluster, pool and entry: version, lengths and numbers are in hex."""
        return f"0001-{len(cluster_id):04x}-{cluster_id}-{pool_number:016x}-{self.uuid}"


def feature_names(bits: int) -> tuple[str, ...]:
    """Those that are newer than this list by their numbers."""
    known = tuple(name for name, bit in _ALL_FEATURES.items() if bits & bit)
    unknown = bits & ~sum(_ALL_FEATURES.values())
    return known + tuple(f"unknown-{1 << bit}" for bit in range(_MOST_BITS) if unknown >> bit & 1)
