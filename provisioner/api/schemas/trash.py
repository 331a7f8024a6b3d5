"""Requests and responses about the trash."""

import time
from typing import Self

from provisioner.api.schemas.common import Forced
from provisioner.api.schemas.fields import NewName, RequestModel, ResponseModel, Timestamp
from provisioner.api.schemas.images import INCOMPLETE, ClaimResponse, IsRunning, claim_of, describe_unfinished
from provisioner.ceph.interrupted import RemovalProgress, operation_of, read_progress
from provisioner.ceph.trash import TrashEntry


class TrashRestore(RequestModel):
    name: NewName | None = None
    """Left out: the name it had."""


class TrashPurge(Forced):
    """`force`: also what is still to be kept. Needs the right `force` on images."""


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
        return INCOMPLETE
    operation = operation_of(entry.header)
    if share and share.active and not (operation and running(operation)):
        return f"it is being removed, {share.done:.0%} is done; if it does not go on, purge it"
    return describe_unfinished(entry.header, running) or entry.unfinished


class TrashList(ResponseModel):
    entries: list[TrashEntryResponse]
    next_cursor: str | None
    """Null on the last page."""
