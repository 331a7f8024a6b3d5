"""Requests and responses about the trash."""

import time
from typing import Self

from provisioner.api.schemas.common import Forced
from provisioner.api.schemas.fields import NewName, RequestModel, ResponseModel, Timestamp
from provisioner.api.schemas.images import INCOMPLETE, ClaimResponse, IsRunning, claim_of, describe_unfinished
from provisioner.ceph.interrupted import RemovalProgress, operation_of, read_progress
from provisioner.ceph.trash_entry import TrashEntry


class TrashRestore(RequestModel):
    name: NewName | None = None
    """The name of the restored image; default: its former name."""


class TrashPurge(Forced):
    """`force`: also before `until`. Needs the permission `force` on images."""


class TrashEntryResponse(ResponseModel):
    id: str
    name: str
    source: str
    """`USER`, or the service of Ceph that moved the image."""
    size: int | None
    deleted: Timestamp
    until: Timestamp
    """The image is not purged before this time unless forced."""
    claim: ClaimResponse | None
    unfinished: str | None
    progress: float | None
    """The removed share, 0 to 1. Null: no data is known to be lost."""
    left_seconds: int | None
    """Estimated seconds until the end of the removal; null unless a process runs it."""

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
        return INCOMPLETE
    operation = operation_of(entry.header)
    if share and share.active and not (operation and running(operation)):
        return f"it is being removed, {share.done:.0%} is done; if the removal does not continue, purge it"
    return describe_unfinished(entry.header, running) or entry.unfinished


class TrashList(ResponseModel):
    entries: list[TrashEntryResponse]
    next_cursor: str | None
    """Null on the last page."""
