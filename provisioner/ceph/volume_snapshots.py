"""Creates, reads and deletes the snapshots of volumes' images by ids, as blocking calls.

Every call is safe to repeat: a snapshot's name follows from the object that requests it, and no id is used twice.
"""

import contextlib
import errno
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provisioner.ceph import dependents, directory, trash_entry
from provisioner.ceph.bindings import rbd
from provisioner.ceph.errors import ImageMissing, ImageTaken, InUse, InvalidArgument, image_errors, pool_path
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.images import Fence
from provisioner.ceph.interrupted import require_complete

MOST_SNAPSHOTS = 500
"""Snapshots of one image, deleted ones that clones need included. The kernel maps no image with more than 510."""


@dataclass(frozen=True, slots=True)
class VolumeSnapshot:
    """A snapshot that a user, or Sutler for one, has created."""

    id: int
    name: str
    size: int
    """Bytes."""
    created: datetime


def create(ioctx: Any, identifier: str, name: str, fence: Fence) -> VolumeSnapshot:
    """Creates the snapshot of the image with this id, or confirms that it exists.

    Raises ImageMissing for an image that does not exist or is in the trash, and InvalidArgument for the one too many.
    """
    target = f"snapshot {name} of {image_text(ioctx, identifier)}"
    header = require_image(ioctx, identifier)
    with (
        dependents.explained_refusal(ioctx, identifier, target, "IMAGE"),
        image_errors("creating", target),
        rbd.Image(ioctx, image_id=identifier) as opened,
    ):
        found = _find_named(opened, name)
        if found is not None:
            return found
        if header.snapshots >= MOST_SNAPSHOTS:
            raise InvalidArgument(
                f"creating {target}: the image has {header.snapshots} snapshots, and nodes cannot map it with many "
                "more: delete some of them; deleted ones count until their clones are deleted or flattened",
                code=errno.EDQUOT,
            )
        fence()
        with contextlib.suppress(rbd.ImageExists):  # created meanwhile, for the same object
            opened.create_snap(name)
        found = _find_named(opened, name)
    if found is None:
        raise ImageTaken(f"{target} was created and has been deleted since by another client")
    return found


def find(ioctx: Any, identifier: str, snapshot: int) -> VolumeSnapshot | None:
    """The snapshot with this id; None if it, or the image, does not exist any more."""
    if directory.find_header(ioctx, identifier) is None:
        return None
    with (
        image_errors("reading", f"the snapshots of {image_text(ioctx, identifier)}"),
        rbd.Image(ioctx, image_id=identifier, read_only=True) as opened,
    ):
        entry = _entry(opened, snapshot)
        return _decode(opened, entry) if entry is not None and entry["namespace"] == dependents.USER else None


def find_named(ioctx: Any, identifier: str, name: str) -> VolumeSnapshot | None:
    """The snapshot of this name; None if it, or the image, does not exist any more."""
    if directory.find_header(ioctx, identifier) is None:
        return None
    with (
        image_errors("reading", f"the snapshots of {image_text(ioctx, identifier)}"),
        rbd.Image(ioctx, image_id=identifier, read_only=True) as opened,
    ):
        return _find_named(opened, name)


def delete(ioctx: Any, identifier: str, snapshot: int, fence: Fence) -> None:
    """Deletes the snapshot with this id. A snapshot or an image that does not exist is a success.

    If clones need the snapshot, Ceph keeps its data until the last of them is deleted or flattened.
    """
    if directory.find_header(ioctx, identifier) is None:
        return
    target = f"snapshot {snapshot} of {image_text(ioctx, identifier)}"
    with (
        dependents.explained_refusal(ioctx, identifier, target, "IMAGE"),
        image_errors("deleting", target),
        rbd.Image(ioctx, image_id=identifier) as opened,
    ):
        entry = _entry(opened, snapshot)
        if entry is None or entry["namespace"] == dependents.TRASH:
            return
        if entry["namespace"] != dependents.USER:
            raise InUse(f"{target} is kept: it belongs to a group or to mirroring", code=errno.EBUSY)
        if opened.is_protected_snap(entry["name"]):
            raise InUse(
                f"{target} is kept: it is protected, so clones of the old format may depend on it: flatten or delete "
                f"them, then run rbd snap unprotect for {entry['name']}",
                code=errno.EBUSY,
            )
        fence()
        opened.remove_snap_by_id(snapshot)


def require_image(ioctx: Any, identifier: str) -> ImageHeader:
    """The image's header. Raises ImageMissing for one that is in the trash, too, and InUse for an incomplete one."""
    target = image_text(ioctx, identifier)
    header = directory.find_header(ioctx, identifier)
    if header is None:
        raise ImageMissing(f"{target} does not exist", code=errno.ENOENT)
    if trash_entry.find(ioctx, identifier) is not None:
        raise ImageMissing(f"{target} is in the trash: restore it first", code=errno.ENOENT)
    require_complete(target, header)
    return header


def image_text(ioctx: Any, identifier: str) -> str:
    """`image pool/[namespace/] id IDENTIFIER`, for errors."""
    return f"image {pool_path(ioctx)} id {identifier}"


def _entry(opened: Any, snapshot: int) -> Any:
    return next((entry for entry in opened.list_snaps() if entry["id"] == snapshot), None)


def _find_named(opened: Any, name: str) -> VolumeSnapshot | None:
    for entry in opened.list_snaps():
        if entry["name"] == name and entry["namespace"] == dependents.USER:
            return _decode(opened, entry)
    return None


def _decode(opened: Any, entry: Any) -> VolumeSnapshot:
    created = opened.get_snap_timestamp(entry["id"]).replace(tzinfo=UTC)
    return VolumeSnapshot(entry["id"], entry["name"], entry["size"], created)
