"""Reads all details of one image, as blocking calls: the header, and what only an open image shows."""

import errno
from dataclasses import dataclass
from typing import Any

from provisioner.ceph import directory, images, mirroring, snapshots
from provisioner.ceph.bindings import rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.directory import DirectoryEntry
from provisioner.ceph.errors import InvalidArgument, Missing, PoolMissing, image_errors, image_label, translated
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.mirroring import ImageMirroring
from provisioner.ceph.snapshots import OtherSnapshot, RbdSnapshot


@dataclass(frozen=True, slots=True)
class ImageDetailsRead:
    entry: DirectoryEntry
    pool: int
    """The pool's id."""
    header: ImageHeader
    data_pool: str | None
    watchers: tuple[str, ...]
    """Addresses."""
    snapshots: tuple[RbdSnapshot, ...]
    other_snapshots: tuple[OtherSnapshot, ...]
    parent: str | None
    """pool/[namespace/]image@snapshot"""
    mirroring: ImageMirroring | None = None
    """None: the image is not mirrored."""


def read(connection: Connection, ioctx: Any, name: str) -> ImageDetailsRead:
    """Raises ImageMissing."""
    found = directory.get_header(ioctx, name)
    # Read-only: opened for writing, Sutler itself would be a watcher.
    with image_errors("opening", image_label(ioctx, name)), rbd.Image(ioctx, name, read_only=True) as opened:
        return ImageDetailsRead(
            entry=DirectoryEntry(name, found.id, found, directory.used_bytes(ioctx, found)),
            pool=ioctx.get_pool_id(),
            header=found,
            data_pool=pool_name(connection, found.data_pool),
            watchers=tuple(watcher["addr"] for watcher in opened.watchers_list()),
            snapshots=tuple(snapshots.read_snapshots(opened)) if found.snapshots else (),
            other_snapshots=tuple(snapshots.read_other_snapshots(opened)) if found.snapshots else (),
            parent=_parent(opened) if found.is_clone else None,
            mirroring=mirroring.read(ioctx, opened, found.id),
        )


def read_new(connection: Connection, ioctx: Any, name: str, identifier: str | None) -> ImageDetailsRead:
    """The details of an image that was just created: nothing has opened, cloned or written it yet."""
    found = directory.find_header(ioctx, identifier, name) if identifier else None
    if found is None:
        found = directory.get_header(ioctx, name)
    used = 0 if found.map_usable else None
    entry, data_pool = DirectoryEntry(name, found.id, found, used), pool_name(connection, found.data_pool)
    return ImageDetailsRead(entry, ioctx.get_pool_id(), found, data_pool, (), (), (), None)


def pool_name(connection: Connection, number: int | None) -> str | None:
    """The name for responses, also of a deleted pool; None for None."""
    if number is None:
        return None
    try:
        with translated("looking up", f"pool {number}"):
            return str(connection.rados.pool_reverse_lookup(number))
    except Missing:
        return f"(deleted pool {number})"


def require_data_pool(connection: Connection, name: str | None) -> None:
    """Raises InvalidArgument for a missing pool, of which librbd would report that the image does not exist."""
    if name is None:
        return
    try:
        connection.ioctx(name)
    except PoolMissing as error:
        raise InvalidArgument(f"data_pool: {error}", code=errno.ENOENT) from None


def require_target_pool(connection: Connection, pool: str, namespace: str) -> Any:
    """The pool that a request's body names. Raises InvalidArgument if it does not exist: the path is correct."""
    try:
        ioctx = connection.ioctx(pool, namespace)
        images.require_namespace(ioctx, namespace)
    except Missing as error:
        raise InvalidArgument(str(error), code=errno.ENOENT) from None
    return ioctx


def _parent(opened: Any) -> str:
    parent = opened.get_parent_image_spec()
    place = "/".join(part for part in (parent["pool_name"], parent["pool_namespace"], parent["image_name"]) if part)
    return f"{place}@{parent['snap_name']}"
