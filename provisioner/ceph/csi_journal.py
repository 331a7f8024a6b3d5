"""Writes ceph-csi's journal of volumes, so that its controller manages Sutler's images like its own.

The journal has two parts in the pool: an object for each volume, whose omap names the PersistentVolume and the image,
and a key for each PersistentVolume in one common object, which leads back to the volume. Sutler uses the claim's UID
where ceph-csi uses a random one, so every call is safe to repeat. The key is written first and removed last: incomplete
entries are found by it, while the objects of a pool cannot be searched.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from provisioner.ceph import directory
from provisioner.ceph.bindings import rados
from provisioner.ceph.errors import ImageTaken, pool_path, translated
from provisioner.ceph.model import JournalEntry

_VOLUMES = "csi.volumes.default"
_PREFIX = "csi.volume."
_KEYS_PER_READ = 1000
"""Keys that one operation reads."""
_NAME, _IMAGE, _IMAGE_ID, _OWNER = "csi.volname", "csi.imagename", "csi.imageid", "csi.volume.owner"


def reserve(ioctx: Any, entry: JournalEntry, image_id: str | None) -> bool:
    """Adds the entry before the image is created, with its future id if known. Returns False if it was there.

    Raises ImageTaken if the entry belongs to another volume.
    """
    keys = {_NAME: entry.volume, _IMAGE: entry.image, _OWNER: entry.owner}
    if image_id is not None:
        keys[_IMAGE_ID] = image_id
    fresh = True
    with translated("writing ceph-csi's journal for", entry.image):
        _write(ioctx, _VOLUMES, {_PREFIX + entry.volume: entry.uuid})
        try:
            with rados.WriteOpCtx() as operation:
                operation.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
                _set(ioctx, operation, keys)
                ioctx.operate_write_op(operation, _PREFIX + entry.uuid)
        except rados.ObjectExists:
            if (others := _read_value(ioctx, entry, _NAME)) != [entry.volume]:
                _remove_key(ioctx, entry)
                other = f"volume {others[0]}" if others else "no volume"
                text = f"entry {entry.uuid} of ceph-csi's journal belongs to {other}, not to {entry.volume}"
                raise ImageTaken(text) from None
            fresh = False
    return fresh


def complete(ioctx: Any, entry: JournalEntry, image_id: str) -> None:
    """Adds the image's id after the image was created."""
    with translated("writing ceph-csi's journal for", entry.image):
        _write(ioctx, _PREFIX + entry.uuid, {_IMAGE_ID: image_id})


def remove(ioctx: Any, entry: JournalEntry) -> None:
    """Removes the entry after the image was removed. A missing entry is a success."""
    with translated("removing from ceph-csi's journal", entry.image):
        with contextlib.suppress(rados.ObjectNotFound):
            ioctx.remove_object(_PREFIX + entry.uuid)
        _remove_key(ioctx, entry)


def list_entries(ioctx: Any, wanted: Callable[[JournalEntry], bool]) -> list[tuple[JournalEntry, str | None]]:
    """The entries that are `wanted`, each with its image's id: empty if it names none, None if it leads to nothing.

    The namespaces of the claims are not read.
    """
    with translated("listing ceph-csi's journal of", f"pool {pool_path(ioctx)}"):
        return [(entry, _read_image_id(ioctx, entry)) for entry in _list_keys(ioctx) if wanted(entry)]


def _list_keys(ioctx: Any) -> Iterator[JournalEntry]:
    after = ""
    while page := directory.read_omap(ioctx, _VOLUMES, after, _PREFIX, _KEYS_PER_READ):
        for key, uuid in page:
            yield JournalEntry(uuid.decode(errors="replace"), key.removeprefix(_PREFIX), "")
        after = page[-1][0]


def _read_image_id(ioctx: Any, entry: JournalEntry) -> str | None:
    try:
        return "".join(_read_value(ioctx, entry, _IMAGE_ID))
    except rados.ObjectNotFound:
        return None


def _read_value(ioctx: Any, entry: JournalEntry, key: str) -> list[str]:
    """A list with the value, or an empty one."""
    with rados.ReadOpCtx() as operation:
        found, _ = ioctx.get_omap_vals_by_keys(operation, (key,))
        ioctx.operate_read_op(operation, _PREFIX + entry.uuid)
        return [value.decode(errors="replace") for _, value in found]


def _remove_key(ioctx: Any, entry: JournalEntry) -> None:
    with contextlib.suppress(rados.ObjectNotFound), rados.WriteOpCtx() as operation:
        ioctx.remove_omap_keys(operation, (_PREFIX + entry.volume,))
        ioctx.operate_write_op(operation, _VOLUMES)


def _write(ioctx: Any, name: str, keys: dict[str, str]) -> None:
    with rados.WriteOpCtx() as operation:
        _set(ioctx, operation, keys)
        ioctx.operate_write_op(operation, name)


def _set(ioctx: Any, operation: Any, keys: dict[str, str]) -> None:
    ioctx.set_omap(operation, tuple(keys), tuple(value.encode() for value in keys.values()))
