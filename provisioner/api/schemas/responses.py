"""What is said of images, snapshots, trash and operations."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Self

from pydantic import computed_field

from provisioner.api.schemas.fields import ResponseModel, Timestamp, quantity_text
from provisioner.ceph.directory import DirectoryEntry
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.interrupted import RemovalProgress, explain, operation_of, read_progress
from provisioner.ceph.snapshots import OtherSnapshot, RbdSnapshot
from provisioner.ceph.trash import TrashEntry
from sutler.volumes import well_known

IsRunning = Callable[[str], bool]
"""Whether this process is at work on the operation with this identifier."""

_INCOMPLETE = "its creation or removal stopped half-way; delete it or create it again"


class ClaimResponse(ResponseModel):
    """The PersistentVolumeClaim that an image belongs to, as its metadata says."""

    namespace: str | None
    name: str | None
    uid: str | None
    volume: str | None
    """Name of the PersistentVolume."""


def claim_of(header: ImageHeader) -> ClaimResponse | None:
    keys = (
        well_known.METADATA_NAMESPACE,
        well_known.METADATA_CLAIM,
        well_known.OWNER,
        well_known.METADATA_VOLUME,
    )
    values = [header.metadata.get(key) for key in keys]
    if not any(values):
        return None
    return ClaimResponse(namespace=values[0], name=values[1], uid=values[2], volume=values[3])


class ImageResponse(ResponseModel):
    name: str
    pool: str
    namespace: str
    id: str
    version: str | None
    """Changes whenever something said here changes, `used` apart; the ETag."""
    size: int | None
    """Bytes. Null, as all else: only the name is there."""
    used: int | None
    """Bytes of the objects that exist; null without a valid object map (feature `object-map`)."""
    object_size: int | None
    order: int | None
    features: list[str]
    stripe_unit: int | None
    stripe_count: int | None
    data_pool: str | None
    created: Timestamp | None
    snapshot_count: int
    is_clone: bool
    claim: ClaimResponse | None
    """Set: resizing, renaming, rolling back and deleting need `force`."""
    unfinished: str | None
    """The operation that is at work on it, or what one that was stopped has left half-done, and what to do about it."""

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorators on properties
    @property
    def size_quantity(self) -> str | None:
        return None if self.size is None else quantity_text(self.size)

    @classmethod
    def of(cls, entry: DirectoryEntry, pool: str, namespace: str, data_pool: str | None, running: IsRunning) -> Self:
        return cls.model_validate(image_fields(entry, pool, namespace, data_pool, running=running))


def describe_unfinished(header: ImageHeader, running: IsRunning) -> str | None:
    operation = operation_of(header)
    return f"operation {operation} is under way" if operation and running(operation) else explain(header)


def image_fields(
    entry: DirectoryEntry, pool: str, namespace: str, data_pool: str | None, *, running: IsRunning
) -> dict[str, object]:
    header = entry.header
    if header is None:
        absent = ("version", "size", "used", "object_size", "order", "stripe_unit", "stripe_count", "created", "claim")
        return dict.fromkeys(absent) | {
            "name": entry.name, "pool": pool, "namespace": namespace, "id": entry.id, "features": [],
            "data_pool": None, "snapshot_count": 0, "is_clone": False, "unfinished": _INCOMPLETE,
        }  # fmt: skip
    return {
        "name": entry.name,
        "pool": pool,
        "namespace": namespace,
        "id": header.id,
        "version": header.version,
        "size": header.size,
        "used": entry.used,
        "object_size": header.object_size,
        "order": header.order,
        "features": list(header.features),
        "stripe_unit": header.stripe_unit,
        "stripe_count": header.stripe_count,
        "data_pool": data_pool,
        "created": header.created,
        "snapshot_count": header.snapshots,
        "is_clone": header.is_clone,
        "claim": claim_of(header),
        "unfinished": describe_unfinished(header, running),
    }


class ImageList(ResponseModel):
    images: list[ImageResponse]
    next_cursor: str | None
    """Null on the last page."""


class SnapshotResponse(ResponseModel):
    name: str
    id: int
    size: int
    created: Timestamp
    protected: bool
    children: list[str]
    """Clones, as pool/[namespace/]image; of those in the trash it says so."""

    @classmethod
    def of(cls, snapshot: RbdSnapshot) -> Self:
        return cls(
            name=snapshot.name,
            id=snapshot.id,
            size=snapshot.size,
            created=snapshot.created,
            protected=snapshot.protected,
            children=list(snapshot.children),
        )


class OtherSnapshotResponse(ResponseModel):
    """One that nobody has made by name. It counts in `snapshot_count`, and is none of `snapshots`."""

    name: str
    id: int
    kind: str
    """`group`: of a group's snapshot; `trash`: deleted, but clones need it; `mirror`: of mirroring."""

    @classmethod
    def of(cls, snapshot: OtherSnapshot) -> Self:
        return cls(name=snapshot.name, id=snapshot.id, kind=snapshot.kind)


class SnapshotList(ResponseModel):
    snapshots: list[SnapshotResponse]


class ImageDetails(ImageResponse):
    watchers: list[str]
    """Addresses of the clients that have it open."""
    snapshots: list[SnapshotResponse]
    """Those that people have made."""
    other_snapshots: list[OtherSnapshotResponse]
    parent: str | None
    """Of a clone: pool/[namespace/]image@snapshot."""
    metadata: dict[str, str]


class TrashEntryResponse(ResponseModel):
    id: str
    name: str
    source: str
    """`USER`, or a service of Ceph's own."""
    size: int | None
    deleted: Timestamp
    until: Timestamp
    """Not purged before, unless forced."""
    claim: ClaimResponse | None
    unfinished: str | None
    progress: float | None
    """0 to 1: how far its removal is or was. Null: none of its data is known to be gone."""
    left_seconds: int | None
    """How long the removal takes yet, estimated; null unless a process is at work on it."""

    @classmethod
    def of(cls, entry: TrashEntry, running: IsRunning) -> Self:
        header = entry.header
        share = read_progress(header, time.time()) if header else None
        return cls(
            id=entry.id,
            name=entry.name,
            source=entry.source,
            size=header.size if header else None,
            deleted=entry.deleted,
            until=entry.until,
            claim=claim_of(header) if header else None,
            unfinished=_describe_entry(entry, running, share),
            progress=share.done if share else None,
            left_seconds=share.left if share else None,
        )


def _describe_entry(entry: TrashEntry, running: IsRunning, share: RemovalProgress | None) -> str | None:
    if entry.header is None:
        return _INCOMPLETE
    operation = operation_of(entry.header)
    if share and share.active and not (operation and running(operation)):
        return f"it is being removed, {share.done:.0%} is done; if it does not go on, purge it"
    return describe_unfinished(entry.header, running) or entry.unfinished


class TrashList(ResponseModel):
    entries: list[TrashEntryResponse]
    next_cursor: str | None
    """Null on the last page."""


class OperationState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The process that did it is gone, and the image tells that it was not done."""


class OperationResponse(ResponseModel):
    id: str
    kind: str
    """`remove`, `purge`, `flatten`, `rollback` or `shrink`"""
    pool: str
    namespace: str
    image: str
    state: OperationState
    progress: float | None
    """0 to 1, where librbd tells."""
    cancellable: bool
    detail: str | None
    """Of what went wrong, and the way out."""
    status: int | None
    """The HTTP status that it would have been answered with."""
    started: Timestamp
    finished: Timestamp | None
    by: str | None
    """Who asked for it; null when the process that knew is gone."""


class OperationList(ResponseModel):
    operations: list[OperationResponse]
