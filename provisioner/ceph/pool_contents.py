"""What would be lost by deleting a pool, in words: pure.

A pool goes without force only if it is proven that nothing is in it and nothing depends on it. What could not be
looked at is therefore kept apart, and counts as much as what was found.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provisioner.ceph.errors import first_names

LISTED_IMAGES = 20
"""Images that a refusal names."""

# RBD's own bookkeeping, which stays behind when all images are gone. Each is empty then, but for a few keys.
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
"""Name → beginnings of the keys that an empty pool may have. RADOS namespaces and settings of the pool are no data."""
_JOURNALS = ("csi.volumes.", "csi.snaps.", "csi.groups.")
BOOKKEEPING_DATA: Mapping[str, tuple[bytes, ...]] = {
    "rbd_info": (b"overwrite validated", b"validate"),
    "rbd_directory": (bytes(8),),
}
"""Name → what its data may be, besides nothing. That of the directory is how images of format 1 leave it."""

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
    """Beginnings of the omap keys with which an object is bookkeeping of an empty pool; None: it never is."""
    return () if key.startswith(_JOURNALS) else BOOKKEEPING_KEYS.get(key)


@dataclass(slots=True)
class PoolContents:
    """What speaks against deleting a pool."""

    pool: str
    images: list[str] = field(default_factory=list)
    """The first ones, as [namespace/]name."""
    image_count: int = 0
    trashed: int = 0
    claims: list[str] = field(default_factory=list)
    """Claims of Kubernetes that the first images belong to."""
    objects: Counter[str] = field(default_factory=Counter)
    """Objects that are more than empty bookkeeping, by kind."""
    examples: dict[str, str] = field(default_factory=dict)
    """Kind → the first such object."""
    dependencies: list[str] = field(default_factory=list)
    """What depends on the pool, or says that it is not for images alone."""
    unverified: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""
    listed: int = 0
    """Objects that were listed; no more are when it is clear that the pool is full."""
    total: int | None = None
    """Objects by Ceph's statistics; None: there are none yet."""
    stored: int | None = None
    """Bytes, by the same."""

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
        """What is there, what could not be seen, and how much that is."""
        return "; ".join(part for part in (*self._found_parts(), self._unverified_part(), self._size_part()) if part)

    def refusal(self) -> str:
        way_out = (
            "delete, purge or move it first, or use force=true, which destroys all of it and needs the right to force "
            "pools.sutler.dev"
        )
        if not self.found:
            way_out = (
                "find out why, or use force=true, which deletes the pool whatever is in it and needs the right to "
                "force pools.sutler.dev"
            )
        return f"pool {self.pool} is kept: {self.summary()}; {way_out}"

    def _found_parts(self) -> Iterable[str]:
        if self.image_count or self.trashed:
            claims = f", of claims {first_names(tuple(self.claims))}" if self.claims else ""
            yield f"images in it: {self.image_count}{claims}, in the trash: {self.trashed}"
        for kind, count in sorted(self.objects.items()):
            # With images in the pool, their objects are no news.
            if not (self.image_count or self.trashed) or not ("RBD" in kind or kind == "trash"):
                yield f"{kind}: {count}, {self.examples[kind]!r} for one"
        yield from self.dependencies

    def _unverified_part(self) -> str:
        return f"not proven to be empty: {'; '.join(self.unverified)}" if self.unverified else ""

    def _size_part(self) -> str:
        if self.total is None or self.stored is None or self.total < self.listed:
            return f"{self.listed} objects were seen, and Ceph's statistics do not count all of them yet"
        return f"by Ceph's statistics {self.total} objects with {self.stored} bytes"
