"""What is said of images, snapshots, trash and operations."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Self

from pydantic import computed_field

from provisioner.api.schemas.base import Moment, Shown, quantity_text
from provisioner.ceph.directory import Entry
from provisioner.ceph.headers import Header
from provisioner.ceph.snapshots import OtherSnapshot, Snapshot
from provisioner.ceph.trashcan import Thrown
from provisioner.ceph.unfinished import Share, operation_of, progress_of, unfinished
from provisioner.volumes import names

Running = Callable[[str], bool]
"""Whether this process is at work on the operation with this identifier."""

_HALF = "its creation or removal stopped half-way; delete it or create it again"


class ClaimShown(Shown):
    """The PersistentVolumeClaim that an image belongs to, as its metadata says."""

    namespace: str | None
    name: str | None
    uid: str | None
    volume: str | None
    """Name of the PersistentVolume."""


def claim_of(header: Header) -> ClaimShown | None:
    keys = (names.METADATA_NAMESPACE, names.METADATA_CLAIM, names.OWNER, names.METADATA_VOLUME)
    values = [header.metadata.get(key) for key in keys]
    if not any(values):
        return None
    return ClaimShown(namespace=values[0], name=values[1], uid=values[2], volume=values[3])


class ImageShown(Shown):
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
    created: Moment | None
    snapshot_count: int
    is_clone: bool
    claim: ClaimShown | None
    """Set: resizing, renaming, rolling back and deleting need `force`."""
    unfinished: str | None
    """The operation that is at work on it, or what one that was stopped has left half-done, and what to do about it."""

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorators on properties
    @property
    def size_quantity(self) -> str | None:
        return None if self.size is None else quantity_text(self.size)

    @classmethod
    def of(cls, entry: Entry, pool: str, namespace: str, data_pool: str | None, running: Running) -> Self:
        return cls.model_validate(fields(entry, pool, namespace, data_pool, running=running))


def state_of(header: Header, running: Running) -> str | None:
    operation = operation_of(header)
    return f"operation {operation} is under way" if operation and running(operation) else unfinished(header)


def fields(entry: Entry, pool: str, namespace: str, data_pool: str | None, *, running: Running) -> dict[str, object]:
    header = entry.header
    if header is None:
        absent = ("version", "size", "used", "object_size", "order", "stripe_unit", "stripe_count", "created", "claim")
        return dict.fromkeys(absent) | {
            "name": entry.name, "pool": pool, "namespace": namespace, "id": entry.id, "features": [],
            "data_pool": None, "snapshot_count": 0, "is_clone": False, "unfinished": _HALF,
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
        "unfinished": state_of(header, running),
    }


class ImageList(Shown):
    images: list[ImageShown]
    next_cursor: str | None
    """Null on the last page."""


class SnapshotShown(Shown):
    name: str
    id: int
    size: int
    created: Moment
    protected: bool
    children: list[str]
    """Clones, as pool/[namespace/]image; of those in the trash it says so."""

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        return cls(
            name=snapshot.name,
            id=snapshot.id,
            size=snapshot.size,
            created=snapshot.created,
            protected=snapshot.protected,
            children=list(snapshot.children),
        )


class OtherSnapshotShown(Shown):
    """One that nobody has made by name. It counts in `snapshot_count`, and is none of `snapshots`."""

    name: str
    id: int
    kind: str
    """`group`: of a group's snapshot; `trash`: deleted, but clones need it; `mirror`: of mirroring."""

    @classmethod
    def of(cls, snapshot: OtherSnapshot) -> Self:
        return cls(name=snapshot.name, id=snapshot.id, kind=snapshot.kind)


class SnapshotList(Shown):
    snapshots: list[SnapshotShown]


class ImageDetails(ImageShown):
    watchers: list[str]
    """Addresses of the clients that have it open."""
    snapshots: list[SnapshotShown]
    """Those that people have made."""
    other_snapshots: list[OtherSnapshotShown]
    parent: str | None
    """Of a clone: pool/[namespace/]image@snapshot."""
    metadata: dict[str, str]


class TrashShown(Shown):
    id: str
    name: str
    source: str
    """`USER`, or a service of Ceph's own."""
    size: int | None
    deleted: Moment
    until: Moment
    """Not purged before, unless forced."""
    claim: ClaimShown | None
    unfinished: str | None
    progress: float | None
    """0 to 1: how far its removal is or was. Null: none of its data is known to be gone."""
    left_seconds: int | None
    """How long the removal takes yet, estimated; null unless a process is at work on it."""

    @classmethod
    def of(cls, entry: Thrown, running: Running) -> Self:
        header = entry.header
        share = progress_of(header, time.time()) if header else None
        return cls(
            id=entry.id,
            name=entry.name,
            source=entry.source,
            size=header.size if header else None,
            deleted=entry.deleted,
            until=entry.until,
            claim=claim_of(header) if header else None,
            unfinished=_state(entry, running, share),
            progress=share.done if share else None,
            left_seconds=share.left if share else None,
        )


def _state(entry: Thrown, running: Running, share: Share | None) -> str | None:
    if entry.header is None:
        return _HALF
    operation = operation_of(entry.header)
    if share and share.active and not (operation and running(operation)):
        return f"it is being removed, {share.done:.0%} is done; if it does not go on, purge it"
    return state_of(entry.header, running) or entry.unfinished


class TrashList(Shown):
    entries: list[TrashShown]
    next_cursor: str | None
    """Null on the last page."""


class State(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The process that did it is gone, and the image tells that it was not done."""


class OperationShown(Shown):
    id: str
    kind: str
    """`remove`, `purge`, `flatten`, `rollback` or `shrink`"""
    pool: str
    namespace: str
    image: str
    state: State
    progress: float | None
    """0 to 1, where librbd tells."""
    cancellable: bool
    detail: str | None
    """Of what went wrong, and the way out."""
    status: int | None
    """The HTTP status that it would have been answered with."""
    started: Moment
    finished: Moment | None
    by: str | None
    """Who asked for it; null when the process that knew is gone."""


class OperationList(Shown):
    operations: list[OperationShown]
