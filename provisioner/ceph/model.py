"""Values that the Ceph layer takes and returns. Pure: no I/O."""

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
"""Features that a request may name → their bits. striping and data-pool follow from the parameters of those names."""
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
"""Bytes: 4 KiB, 4 MiB and 32 MiB."""

LONGEST_NAME = 128
"""Characters of an image name. Ceph accepts more, but CSI's volume handles and older kernels do not."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    name: str
    size: int
    """Bytes, exactly."""
    features: tuple[str, ...] = ("layering",)
    object_size: int = DEFAULT_OBJECT
    stripe_unit: int | None = None
    stripe_count: int | None = None
    data_pool: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None
    """Up to 14 characters, unique in the pool. None: librbd draws one."""

    @property
    def feature_bits(self) -> int:
        bits = 0
        for name in self.features:
            bits |= FEATURES[name]
        # As in librbd's create: without fast-diff, the usage of an image is found only by a request for each object.
        return bits | FEATURES["fast-diff"] if "object-map" in self.features else bits

    @property
    def order(self) -> int:
        return self.object_size.bit_length() - 1


@dataclass(frozen=True, slots=True)
class RbdImage:
    """An image as librbd shows it when it is open."""

    name: str
    id: str
    size: int
    features: tuple[str, ...]
    object_size: int
    created: datetime
    metadata: Mapping[str, str]
    watchers: tuple[str, ...] = ()
    """Addresses of the clients that have the image open."""
    snapshots: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    """Clones, as pool/[namespace/]image."""


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """Identifies the image of a volume by all that the volume records of it."""

    name: str
    owner: str
    """UID of the claim that the image was created for; the image's metadata must have the same."""
    kubernetes: str
    """Identity of this Kubernetes cluster; the image's metadata must have the same."""
    id: str = ""
    """The image's id; empty if the volume does not record it."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image in the pool's directory."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class MovedToTrash:
    """An image that a user or Sutler has moved to the trash."""

    name: str
    id: str
    deleted: datetime
    until: datetime
    """The image is not purged before this time. It can be restored while it is in the trash."""


@dataclass(frozen=True, slots=True)
class PoolSpace:
    """The usage and capacity of a pool, in bytes unless stated otherwise."""

    used: int
    """On the disks, all copies."""
    available: int
    """Data that fits on the disks, one copy counted."""
    quota: int | None
    """None: no quota."""
    stored: int = 0
    """Data, one copy counted: the quota limits this."""
    objects: int = 0
    quota_objects: int | None = None
    """The quota as a number of objects; None: no such quota."""

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
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
        """The volume handle of ceph-csi. Version, length and pool number are hexadecimal."""
        return f"0001-{len(cluster_id):04x}-{cluster_id}-{pool_number:016x}-{self.uuid}"


def feature_names(bits: int) -> tuple[str, ...]:
    """The names of the features. A feature that is not listed here is `unknown-` and its bit."""
    known = tuple(name for name, bit in _ALL_FEATURES.items() if bits & bit)
    unknown = bits & ~sum(_ALL_FEATURES.values())
    return known + tuple(f"unknown-{1 << bit}" for bit in range(_MOST_BITS) if unknown >> bit & 1)
