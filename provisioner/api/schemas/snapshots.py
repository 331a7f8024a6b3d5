"""Requests and responses about snapshots."""

from provisioner.api.schemas.fields import NewName, RequestModel, ResponseModel, Timestamp


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


class OtherSnapshotResponse(ResponseModel):
    """A snapshot that no user created. It counts in `snapshot_count`, and is not in `snapshots`."""

    name: str
    id: int
    kind: str
    """`group`: part of a group's snapshot; `trash`: deleted, but clones need it; `mirror`: made by mirroring."""


class SnapshotList(ResponseModel):
    snapshots: list[SnapshotResponse]
