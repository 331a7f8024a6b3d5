"""ceph-csi's own bookkeeping of volumes, so that its controller takes our images for its own.

Two things in the pool: an object per volume, whose omap says which PersistentVolume and which image it is, and a key
per PersistentVolume in one common object that leads back to the volume. Ours have the claim's UID where ceph-csi draws
lots, so doing it again does the same again.
"""

import contextlib
from typing import Any

from provisioner.ceph.binding import rados
from provisioner.ceph.errors import ImageTaken, translated
from provisioner.ceph.model import Entry

_VOLUMES = "csi.volumes.default"
_PREFIX = "csi.volume."
_NAME, _IMAGE, _IMAGE_ID, _OWNER = "csi.volname", "csi.imagename", "csi.imageid", "csi.volume.owner"


def reserve(ioctx: Any, entry: Entry, image_id: str | None) -> bool:
    """Before the image is made, with the id that it will have, if that is known; False if there is an entry already."""
    keys = {_NAME: entry.volume, _IMAGE: entry.image, _OWNER: entry.owner}
    if image_id is not None:
        keys[_IMAGE_ID] = image_id
    fresh = True
    with translated("writing ceph-csi's journal for", entry.image):
        try:
            with rados.WriteOpCtx() as operation:
                operation.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
                _set(ioctx, operation, keys)
                ioctx.operate_write_op(operation, _PREFIX + entry.uuid)
        except rados.ObjectExists:
            _require_ours(ioctx, entry)
            fresh = False
        _write(ioctx, _VOLUMES, {_PREFIX + entry.volume: entry.uuid})
    return fresh


def complete(ioctx: Any, entry: Entry, image_id: str) -> None:
    """When the image is there, and its id was not known before."""
    with translated("writing ceph-csi's journal for", entry.image):
        _write(ioctx, _PREFIX + entry.uuid, {_IMAGE_ID: image_id})


def drop(ioctx: Any, entry: Entry) -> None:
    """When the image is gone."""
    with translated("removing from ceph-csi's journal", entry.image):
        with contextlib.suppress(rados.ObjectNotFound), rados.WriteOpCtx() as operation:
            ioctx.remove_omap_keys(operation, (_PREFIX + entry.volume,))
            ioctx.operate_write_op(operation, _VOLUMES)
        with contextlib.suppress(rados.ObjectNotFound):
            ioctx.remove_object(_PREFIX + entry.uuid)


def _require_ours(ioctx: Any, entry: Entry) -> None:
    with rados.ReadOpCtx() as operation:
        found, _ = ioctx.get_omap_vals_by_keys(operation, (_NAME,))
        ioctx.operate_read_op(operation, _PREFIX + entry.uuid)
        names = [value.decode() for _, value in found]
    if names != [entry.volume]:
        raise ImageTaken(
            f"ceph-csi's journal has {entry.uuid} for {names[0] if names else 'nobody'}, not {entry.volume}"
        )


def _write(ioctx: Any, name: str, keys: dict[str, str]) -> None:
    with rados.WriteOpCtx() as operation:
        _set(ioctx, operation, keys)
        ioctx.operate_write_op(operation, name)


def _set(ioctx: Any, operation: Any, keys: dict[str, str]) -> None:
    ioctx.set_omap(operation, tuple(keys), tuple(value.encode() for value in keys.values()))
