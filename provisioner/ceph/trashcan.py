"""The trash of a pool as people use it, as blocking calls. Entries are called by their identifier: names may repeat."""

import errno
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provisioner.ceph import directory
from provisioner.ceph.binding import rbd
from provisioner.ceph.editing import (
    Guard,
    Progress,
    Work,
    cancellable,
    explain_snapshots,
    mark,
    refuse_if_watched,
    require_whole,
)
from provisioner.ceph.errors import Denied, ImageMissing, InUse, translated
from provisioner.ceph.headers import Header
from provisioner.ceph.where import image, image_errors, place

_LIBRBD = rbd.RBD()


@dataclass(frozen=True, slots=True)
class Thrown:
    id: str
    name: str
    source: str
    """Who put it there: USER, or a service of Ceph's own."""
    deleted: datetime
    until: datetime
    """Not to be purged before, unless by force."""
    header: Header | None
    """None: its removal stopped half-way."""


def listing(ioctx: Any, after: str, limit: int) -> list[Thrown]:
    """Up to `limit` entries in the order of their identifiers, the first one after `after`."""
    with translated("listing", f"the trash of {place(ioctx)}"):
        found = sorted(_LIBRBD.trash_list(ioctx), key=lambda entry: entry["id"])
    return [_thrown(ioctx, entry) for entry in found if entry["id"] > after][:limit]


def show(ioctx: Any, identifier: str) -> Thrown:
    with image_errors("looking up in the trash", _target(ioctx, identifier)):
        return _thrown(ioctx, _LIBRBD.trash_get(ioctx, identifier))


def _thrown(ioctx: Any, entry: Any) -> Thrown:
    return Thrown(
        id=entry["id"],
        name=entry["name"],
        source=entry["source"],
        deleted=entry["deletion_time"].replace(tzinfo=UTC),
        until=entry["deferment_end_time"].replace(tzinfo=UTC),
        header=directory.header_by_id(ioctx, entry["id"], entry["name"]),
    )


def throw(ioctx: Any, name: str, guard: Guard, delay: int) -> str:
    """Moves the image to the trash; its identifier there. Asks first what librbd does not: who watches or depends."""
    found = guard.pass_(ioctx, name)
    if found.snapshots:
        explain_snapshots(ioctx, name)
    refuse_if_watched(ioctx, name)
    with image_errors("moving to the trash", image(ioctx, name)):
        _LIBRBD.trash_move(ioctx, name, delay)
    return found.id


def restore(ioctx: Any, identifier: str, name: str | None) -> str:
    """Under its old name unless another one is given; returns the name."""
    entry = show(ioctx, identifier)
    target = _target(ioctx, identifier)
    if entry.header is None:
        raise InUse(f"{target} is not whole: its removal was begun; purge it again", code=errno.EBUSY)
    require_whole(target, entry.header)
    with image_errors("restoring", f"{target} as {name or entry.name}"):
        _LIBRBD.trash_restore(ioctx, identifier, name or entry.name)
    return name or entry.name


def check_purgeable(ioctx: Any, identifier: str, *, force: bool) -> Thrown:
    entry = show(ioctx, identifier)
    if entry.until > datetime.now(UTC) and not force:
        raise Denied(
            f"{_target(ioctx, identifier)} is kept until {entry.until:%Y-%m-%dT%H:%M:%SZ}: wait, or force it",
            code=errno.EPERM,
        )
    return entry


def purge(ioctx: Any, entry: Thrown, progress: Progress, operation: str) -> None:
    if entry.header is not None:
        mark(ioctx, entry.id, Work.REMOVE, operation)
    try:
        with cancellable("purging", _target(ioctx, entry.id), progress) as callback:
            _LIBRBD.trash_remove(ioctx, entry.id, force=True, on_progress=callback)
    except ImageMissing:
        return


def _target(ioctx: Any, identifier: str) -> str:
    return f"trash entry {identifier} of {place(ioctx)}"
