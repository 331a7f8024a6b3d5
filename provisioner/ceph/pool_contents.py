"""The contents of a pool and what depends on it, and the text that rejects a deletion. Pure: no I/O.

A pool is deleted without force only if it is proven to be empty and nothing depends on it. What could not be verified
is recorded separately, and prevents the deletion as well.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provisioner.ceph.errors import first_names

LISTED_IMAGES = 20
"""Images that the text names."""

# RBD's own objects, which remain after all images are deleted. Each is empty then, except for a few keys.
BOOKKEEPING_KEYS: Mapping[str, tuple[str, ...]] = {
    "rbd_directory": ("state",),
    "rbd_info": ("metadata_conf_",),
    "rbd_trash": (),
    "rbd_children": (),
    "rbd_namespace": ("name_",),
    "rbd_group_directory": (),
    "rbd_mirroring": ("mirror_uuid", "uuid"),
    "rbd_mirror_leader": (),
    "rbd_mirror_snapshot_schedule": (),
    "rbd_trash_purge_schedule": (),
    "rbd_task": (),
}
"""Object → prefixes of the keys that it may have in an empty pool. Namespaces and settings are not data."""
_JOURNALS = ("csi.volumes.", "csi.snaps.", "csi.groups.")
BOOKKEEPING_DATA: Mapping[str, tuple[bytes, ...]] = {
    "rbd_info": (b"overwrite validated", b"validate"),
    "rbd_directory": (bytes(8),),
}
"""Object → values that its data may have in an empty pool. Images of format 1 leave eight zero bytes."""

_KINDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"rbd_data\.", "objects with data of RBD images"),
        (r"rb\.\d+\.", "objects with data of RBD images of format 1"),
        (r".*\.rbd$", "headers of RBD images of format 1"),
        (r"rbd_(header|id|object_map)\.", "headers of RBD images"),
        (r"journal(_data)?\.", "journals of RBD images"),
        (r"rbd_group_header\.", "groups of images"),
        (r"rbd_mirror", "mirroring"),
        (r"rbd_trash$", "trash"),
        (r"rbd_(directory|children|namespace|group_directory)$", "entries of RBD's directories"),
        (r"rbd_(task|trash_purge_schedule)$", "tasks and schedules"),
        (r"csi\.", "entries of ceph-csi's journal"),
        (r"[0-9a-f]{1,16}\.[0-9a-f]{8}$", "objects of CephFS"),
    )
)
_OTHER = "objects of other applications"


def object_kind(key: str) -> str:
    return next((words for pattern, words in _KINDS if pattern.match(key)), _OTHER)


def allowed_keys(key: str) -> tuple[str, ...] | None:
    """Prefixes of the omap keys that the object may have in an empty pool; None: an empty pool has no such object."""
    return () if key.startswith(_JOURNALS) else BOOKKEEPING_KEYS.get(key)


@dataclass(slots=True)
class PoolContents:
    """What prevents the deletion of a pool."""

    pool: str
    images: list[str] = field(default_factory=list)
    """The first images, as [namespace/]name."""
    image_count: int = 0
    trashed: int = 0
    """The number of images in the trash."""
    claims: list[str] = field(default_factory=list)
    """PersistentVolumeClaims of the first images, as namespace/name."""
    objects: Counter[str] = field(default_factory=Counter)
    """Kind → number of objects that are more than empty bookkeeping."""
    examples: dict[str, str] = field(default_factory=dict)
    """Kind → the first such object."""
    dependencies: list[str] = field(default_factory=list)
    """What depends on the pool, or shows that it has other uses than images."""
    unverified: list[str] = field(default_factory=list)
    """What could not be verified, and why."""
    listed: int = 0
    """The number of listed objects. Listing stops once it is clear that the pool is not empty."""
    total: int | None = None
    """The number of objects in Ceph's statistics; None: there are no statistics yet."""
    stored: int | None = None
    """Bytes, in the same statistics."""

    @property
    def found(self) -> bool:
        return bool(self.image_count or self.trashed or self.objects or self.dependencies)

    @property
    def proven_empty(self) -> bool:
        return not self.found and not self.unverified

    def add_object(self, namespace: str, key: str) -> None:
        kind = object_kind(key)
        self.objects[kind] += 1
        self.examples.setdefault(kind, f"{namespace}/{key}" if namespace else key)

    def add_image(self, namespace: str, name: str) -> None:
        self.image_count += 1
        if len(self.images) < LISTED_IMAGES:
            self.images.append(f"{namespace}/{name}" if namespace else name)

    def summary(self) -> str:
        """The contents, what could not be verified, and the size, in words."""
        return "; ".join(part for part in (*self._found_parts(), self._unverified_part(), self._size_part()) if part)

    def refusal(self) -> str:
        way_out = (
            "delete, purge or move it first, or use force=true, which destroys all of it and needs the permission to "
            "force pools.sutler.dev"
        )
        if not self.found:
            way_out = (
                "remove the cause and retry, or use force=true, which deletes the pool with everything in it and needs "
                "the permission to force pools.sutler.dev"
            )
        return f"pool {self.pool} is kept: {self.summary()}; {way_out}"

    def _found_parts(self) -> Iterable[str]:
        if self.image_count or self.trashed:
            claims = f", of claims {first_names(tuple(self.claims))}" if self.claims else ""
            yield f"images: {self.image_count}{claims}, in the trash: {self.trashed}"
        for kind, count in sorted(self.objects.items()):
            # With images in the pool, their objects need no mention.
            if not (self.image_count or self.trashed) or not ("RBD" in kind or kind == "trash"):
                yield f"{kind}: {count}, such as {self.examples[kind]!r}"
        yield from self.dependencies

    def _unverified_part(self) -> str:
        return f"the pool could not be verified to be empty: {'; '.join(self.unverified)}" if self.unverified else ""

    def _size_part(self) -> str:
        if self.total is None or self.stored is None or self.total < self.listed:
            return f"{self.listed} objects were listed, and Ceph's statistics do not count all of them yet"
        return f"Ceph's statistics: {self.total} objects with {self.stored} bytes"
