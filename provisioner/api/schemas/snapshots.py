"""Requests and responses about snapshots."""

from typing import Self

from provisioner.api.schemas.fields import NewName, RequestModel, ResponseModel, Timestamp
from provisioner.ceph.snapshots import OtherSnapshot, RbdSnapshot


class SnapshotCreate(RequestModel):
    name: NewName


class SnapshotUpdate(RequestModel):
    protected: bool
    """A protected snapshot cannot be deleted, and can be cloned on every release of Ceph."""


class SnapshotResponse(ResponseModel):
    name: str
    id: int
    size: int
    created: Timestamp
    protected: bool
    children: list[str]
    """Clones, as pool/[namespace/]image, with a note for those in the trash."""

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
    """A snapshot that no user created. It counts in `snapshot_count`, and is not in `snapshots`."""

    name: str
    id: int
    kind: str
    """`group`: part of a group's snapshot; `trash`: deleted, but clones need it; `mirror`: made by mirroring."""

    @classmethod
    def of(cls, snapshot: OtherSnapshot) -> Self:
        return cls(name=snapshot.name, id=snapshot.id, kind=snapshot.kind)


class SnapshotList(ResponseModel):
    snapshots: list[SnapshotResponse]
