"""Reads a pool's directory and the headers of its images, as blocking calls: a page at a time, without librbd."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.ceph import cls_rbd, image_header
from provisioner.ceph.bindings import rados
from provisioner.ceph.errors import (
    CephError,
    ImageMissing,
    Missing,
    from_errno,
    image_errors,
    image_label,
    pool_path,
    translated,
)
from provisioner.ceph.image_header import ImageHeader

_NAME, _ID = "name_", "id_"
_KEYS_PER_READ = 1000
"""Keys that one operation reads; a header with hundreds of snapshots takes several operations."""
_LONGEST_MAP_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    name: str
    id: str
    header: ImageHeader | None
    """None: there is a name and no image; its creation or removal was interrupted."""
    used: int | None
    """Bytes of the objects that exist; None without a valid object map."""

    @property
    def data_pool(self) -> int | None:
        return self.header.data_pool if self.header else None


def list_page(ioctx: Any, prefix: str, after: str, limit: int, *, count_used: bool = True) -> list[DirectoryEntry]:
    """Up to `limit` images whose names begin with `prefix`, ordered by name, from the first one after `after`."""
    with translated("listing", f"the images of {pool_path(ioctx)}"):
        found = read_omap(ioctx, cls_rbd.DIRECTORY, _NAME + after if after else "", _NAME + prefix, limit)
        named = [(key.removeprefix(_NAME), cls_rbd.decode_text(value)) for key, value in found]
        read = _read_headers(ioctx, named)
        used = _count_used(ioctx, read) if count_used else {}
    return [
        DirectoryEntry(name, identifier, header, used.get(identifier))
        for (name, identifier), header in zip(named, read, strict=True)
    ]


def list_names(ioctx: Any, after: str = "", most: int = _KEYS_PER_READ) -> list[str]:
    with translated("listing", f"the images of {pool_path(ioctx)}"):
        found = read_omap(ioctx, cls_rbd.DIRECTORY, _NAME + after if after else "", _NAME, most)
    return [key.removeprefix(_NAME) for key, _ in found]


def has_name(ioctx: Any, name: str) -> bool:
    """Whether the directory has this name, with an image or without one."""
    with translated("listing", f"the images of {pool_path(ioctx)}"):
        # The first key with this prefix is the name itself if the directory has it.
        return any(key == _NAME + name for key, _ in read_omap(ioctx, cls_rbd.DIRECTORY, "", _NAME + name, 1))


def find_name(ioctx: Any, identifier: str) -> str | None:
    """The present name of the image with this id; None if the directory does not have the id."""
    key = _ID + identifier
    with translated("looking up", f"image {pool_path(ioctx)} id {identifier}"):
        found = read_omap(ioctx, cls_rbd.DIRECTORY, "", key, 1)
    return next((cls_rbd.decode_text(value) for one, value in found if one == key), None)


def has_header(ioctx: Any, identifier: str) -> bool:
    """Whether there is an image with this id, in the trash or outside of it."""
    try:
        with translated("looking up", f"image {pool_path(ioctx)} id {identifier}"):
            ioctx.stat(cls_rbd.HEADER_PREFIX + identifier)
    except Missing:
        return False
    return True


def get_header(ioctx: Any, name: str) -> ImageHeader:
    """Raises ImageMissing, also for a name without a complete image."""
    target = image_label(ioctx, name)
    with image_errors("looking up", target):
        identifier = cls_rbd.decode_text(ioctx.read(cls_rbd.ID_PREFIX + name))
        found = find_header(ioctx, identifier, name)
    if found is None:
        raise ImageMissing(
            f"{target} is incomplete: its creation or removal was interrupted; delete it or create it again"
        )
    return found


def find_header(ioctx: Any, identifier: str, name: str = "") -> ImageHeader | None:
    """The header of the image with this id, in the trash or outside of it; None if there is none. `name`: its name."""
    items: dict[str, bytes] = {}
    while more := read_omap(ioctx, cls_rbd.HEADER_PREFIX + identifier, max(items, default=""), "", _KEYS_PER_READ):
        items.update(more)
        if len(more) < _KEYS_PER_READ:
            break
    return image_header.decode(identifier, name, items)


def used_bytes(ioctx: Any, found: ImageHeader) -> int | None:
    return _count_used(ioctx, [found]).get(found.id)


def read_omap(ioctx: Any, oid: str, after: str, prefix: str, most: int) -> list[tuple[str, bytes]]:
    """Up to `most` keys with this prefix after the key `after`, in order; none of an object that does not exist."""
    try:
        with translated("reading", oid), rados.ReadOpCtx() as operation:
            found, _ = ioctx.get_omap_vals(operation, after, prefix, most)
            ioctx.operate_read_op(operation, oid)
            return _without_none(found)
    except Missing:
        return []


def _without_none(found: Iterable[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    """The binding returns None for an empty value."""
    return [(key, value or b"") for key, value in found]


def _read_headers(ioctx: Any, named: Sequence[tuple[str, str]]) -> list[ImageHeader | None]:
    """Reads all headers at the same time; None for those that do not exist or are incomplete."""
    started = []
    try:
        for _, identifier in named:
            operation = ioctx.create_read_op()
            found, _ = ioctx.get_omap_vals(operation, "", "", _KEYS_PER_READ)
            started.append((operation, found, ioctx.operate_aio_read_op(operation, cls_rbd.HEADER_PREFIX + identifier)))
        return [
            _finish_header(ioctx, name, identifier, found, completion)
            for (name, identifier), (_, found, completion) in zip(named, started, strict=True)
        ]
    finally:
        for operation, _, completion in started:
            completion.wait_for_complete()
            ioctx.release_read_op(operation)


def _finish_header(ioctx: Any, name: str, identifier: str, found: Any, completion: Any) -> ImageHeader | None:
    completion.wait_for_complete()
    try:
        _require_success(completion.get_return_value(), f"reading the header of {image_label(ioctx, name)}")
    except Missing:
        return None
    items = dict(_without_none(found))
    if len(items) == _KEYS_PER_READ:
        return find_header(ioctx, identifier, name)
    return image_header.decode(identifier, name, items)


def _count_used(ioctx: Any, found: Sequence[ImageHeader | None]) -> dict[str, int]:
    counted = [one for one in found if one is not None and one.map_usable]
    maps: dict[str, bytes] = {}

    def store(identifier: str) -> Any:
        return lambda _, data: maps.__setitem__(identifier, data)

    started = [
        ioctx.aio_execute(
            cls_rbd.OBJECT_MAP_PREFIX + one.id,
            cls_rbd.CLASS_NAME,
            "object_map_load",
            b"",
            _map_length(one),
            store(one.id),
        )
        for one in counted
    ]
    for completion in started:
        completion.wait_for_complete_and_cb()
    usable = {}
    for one, completion in zip(counted, started, strict=True):
        if completion.get_return_value() >= 0 and maps.get(one.id):
            usable[one.id] = min(cls_rbd.count_objects(maps[one.id]) * one.object_size, one.size)
    return usable


def _map_length(found: ImageHeader) -> int:
    """Bytes: two bits for each object, and a checksum of four bytes for every 4 KiB of them."""
    return min(found.max_objects // 2 + 4096, _LONGEST_MAP_BYTES)


def _require_success(code: int, what: str) -> None:
    if code < 0:
        error: CephError = from_errno(-code, what, "")
        raise error
