"""Handles of images and of their snapshots, which VolumeSnapshotContents and PersistentVolumes record. Pure: no I/O.

A handle consists of ids, which survive a rename of the pool, the image or the snapshot. So it is resolved without a
class, a name or a volume. It has the form `sutler-1/CLUSTER/POOL/NAMESPACE/IMAGE` or, for a snapshot,
`sutler-1/CLUSTER/POOL/NAMESPACE/IMAGE/SNAPSHOT`; pool, image and snapshot are ids.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

_VERSION = "sutler-1"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_IMAGE = re.compile(r"[0-9A-Za-z]{1,64}")
LONGEST_HANDLE = 128
"""Bytes of a handle that CSI allows. Kubernetes itself has no such limit."""


@dataclass(frozen=True, slots=True, order=True)
class ImageHandle:
    """Identifies an image by ids."""

    cluster: str
    """clusterID as the StorageClass gave it; empty: the only cluster."""
    pool: int
    """The pool's id."""
    namespace: str
    """The RADOS namespace, whose name cannot change; empty: the default one."""
    image: str
    """The image's id."""

    def __str__(self) -> str:
        parts = (self.cluster, str(self.pool), self.namespace, self.image)
        return "/".join((_VERSION, *(quote(part, safe="") for part in parts)))

    def snapshot(self, identifier: int) -> "SnapshotHandle":
        """Returns the handle of the image's snapshot with this id."""
        return SnapshotHandle(self, identifier)


@dataclass(frozen=True, slots=True, order=True)
class SnapshotHandle:
    """Identifies a snapshot by ids."""

    image: ImageHandle
    snapshot: int
    """The snapshot's id."""

    def __str__(self) -> str:
        return f"{self.image}/{self.snapshot}"


def parse_image_handle(text: str) -> ImageHandle | None:
    """Returns None for any text that is not exactly the handle of an image."""
    version, *parts = text.split("/")
    if version != _VERSION or len(parts) != 4:  # noqa: PLR2004 - the fields of a handle
        return None
    cluster, pool, namespace, image = map(unquote, parts)
    if not _NUMBER.fullmatch(pool) or not _IMAGE.fullmatch(image):
        return None
    found = ImageHandle(cluster, int(pool), namespace, image)
    # Each image has exactly one handle: two spellings would look like two images.
    return found if str(found) == text else None


def parse_snapshot_handle(text: str) -> SnapshotHandle | None:
    """Returns None for any text that is not exactly the handle of a snapshot."""
    image, _, snapshot = text.rpartition("/")
    found = parse_image_handle(image)
    return found.snapshot(int(snapshot)) if found is not None and _NUMBER.fullmatch(snapshot) else None
