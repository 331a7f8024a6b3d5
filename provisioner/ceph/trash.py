"""The trash of a pool as users see it, as blocking calls. Entries are addressed by identifier: names may repeat."""

import errno
from datetime import UTC, datetime
from typing import Any

from provisioner.ceph import data_removal, dependents, trash_entry, trash_purge
from provisioner.ceph.bindings import rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.editing import Guard
from provisioner.ceph.errors import Denied, ImageMissing, InUse, image_errors, image_label
from provisioner.ceph.format1 import require_no_format1_image
from provisioner.ceph.interrupted import require_complete
from provisioner.ceph.removal_progress import ReportProgress
from provisioner.ceph.trash_entry import REMOVAL_BEGUN, TrashEntry
from provisioner.ceph.trash_purge import entry_label

_LIBRBD = rbd.RBD()


def list_entries(ioctx: Any, after: str, limit: int) -> list[TrashEntry]:
    """Up to `limit` entries with their headers, ordered by identifier, from the first one after `after`."""
    return [trash_entry.with_header(ioctx, entry) for entry in trash_entry.list_page(ioctx, after, limit)]


def get_entry(ioctx: Any, identifier: str) -> TrashEntry:
    """The entry with its header. Raises ImageMissing."""
    entry = trash_entry.find(ioctx, identifier)
    if entry is None:
        raise ImageMissing(f"{entry_label(ioctx, identifier)} does not exist", code=errno.ENOENT)
    return trash_entry.with_header(ioctx, entry)


def move_to_trash(ioctx: Any, name: str, guard: Guard, delay: int) -> str:
    """Moves the image to the trash for `delay` seconds at least, and returns its identifier there.

    librbd moves images with watchers, snapshots or clones as well, so that is checked first.
    """
    found = guard.require(ioctx, name)
    dependents.require_removable(ioctx, found.id, image_label(ioctx, name), name)
    with image_errors("moving to the trash", image_label(ioctx, name)):
        _LIBRBD.trash_move(ioctx, name, delay)
    return found.id


def restore(ioctx: Any, identifier: str, name: str | None) -> str:
    """Restores the image, under its former name unless another one is given. Returns the name."""
    entry = get_entry(ioctx, identifier)
    target = entry_label(ioctx, identifier)
    if entry.header is None:
        raise InUse(f"{target} is incomplete: its removal has begun; purge it again", code=errno.EBUSY)
    require_complete(target, entry.header)
    if entry.removing or entry.source == "REMOVING":
        raise InUse(f"{target} is incomplete: {REMOVAL_BEGUN}", code=errno.EBUSY)
    require_no_format1_image(ioctx, name or entry.name)
    with image_errors("restoring", f"{target} as {name or entry.name}"):
        _LIBRBD.trash_restore(ioctx, identifier, name or entry.name)
    return name or entry.name


def check_purgeable(connection: Connection, ioctx: Any, identifier: str, *, force: bool) -> TrashEntry:
    """Raises Denied before the entry's time unless forced, and InUse with everything that depends on the image."""
    entry = get_entry(ioctx, identifier)
    target = entry_label(ioctx, identifier)
    if entry.until > datetime.now(UTC) and not force:
        raise Denied(
            f"{target} is kept until {entry.until:%Y-%m-%dT%H:%M:%SZ}: wait until then, or use force", code=errno.EPERM
        )
    if entry.header is not None:
        dependents.require_removable(ioctx, identifier, target)
        data_removal.require_delete_permission(
            connection.data_objects(ioctx, entry.header.data_pool), ioctx, identifier
        )
    return entry


def purge(connection: Connection, ioctx: Any, entry: TrashEntry, progress: ReportProgress, operation: str) -> None:
    data = connection.data_objects(ioctx, entry.header.data_pool) if entry.header else None
    trash_purge.purge(ioctx, data, entry.id, progress, operation)
