"""Creates an empty image in three OSD operations, by the methods of the `rbd` class that librbd's create calls.

The header and the metadata are written in one operation. So there is never an image without its owner, as there is
between librbd's create and the first metadata if the process is killed there. Creating takes a tenth of librbd's
processor time as well: librbd sets up threads and caches for the image, and draws an id that has to be read back.

The order is: directory, name, header. An interrupted creation is visible in the directory and can be finished, since
the id is not random but given. Images that need more than this (`can_create`) are created by librbd.
"""

import contextlib
import errno
import struct
from typing import Any

from provisioner.ceph import cls_rbd as wire
from provisioner.ceph.bindings import rados
from provisioner.ceph.errors import ImageTaken, image_errors, translated
from provisioner.ceph.model import LARGEST_OBJECT, LONGEST_NAME, SMALLEST_OBJECT, ImageSpec

_FEATURES = frozenset({"layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"})
_MOST_MAPPED_OBJECTS = 256_000_000
"""The most objects that an object map can have, as in librbd."""
_FULL = (errno.EDQUOT, errno.ENOSPC)
_NAMESPACE_READY = b"\0"
_NO_DATA_POOL = -1


def can_create(spec: ImageSpec) -> bool:
    """Whether `create` can create such an image. librbd creates the others, or rejects them with the reason."""
    return (
        spec.id is not None
        and _FEATURES.issuperset(spec.features)
        and spec.data_pool is None
        and spec.stripe_unit is None
        and SMALLEST_OBJECT <= spec.object_size <= LARGEST_OBJECT
        and len(spec.name) <= LONGEST_NAME
        and ("object-map" not in spec.features or _object_count(spec) <= _MOST_MAPPED_OBJECTS)
    )


def create(ioctx: Any, spec: ImageSpec, target: str) -> None:
    """Creates the image, or finishes an interrupted call with the same name and id. Requires `can_create`.

    Raises ImageTaken if there is an image of that name, complete or with another id.
    """
    identifier = str(spec.id)
    with image_errors("creating", target):
        entered = _add_to_directory(ioctx, spec.name, identifier)
        try:
            _write_id(ioctx, spec.name, identifier)
            if "object-map" in spec.features:
                resize = struct.pack("<QB", _object_count(spec), 0)
                _execute(ioctx, wire.OBJECT_MAP_PREFIX + identifier, ("object_map_resize", resize))
            _create_header(ioctx, spec, identifier)
        except rados.ObjectExists:
            if not entered:
                raise
            _remove_name(ioctx, spec.name, identifier)
            # The directory did not have the name until now, so the header belongs to another image.
            raise ImageTaken(f"{target}: an image with id {identifier} exists already, possibly in the trash") from None
        except rados.Error as error:
            if abs(error.errno or 0) in _FULL:
                # A full pool accepts keys in its directory, but no new objects.
                remove_incomplete(ioctx, spec.name, identifier, target)
            raise


def remove_incomplete(ioctx: Any, name: str, identifier: str, target: str) -> None:
    """Removes a name without an image, left by an interrupted `create`. Raises ImageTaken for a complete image."""
    with translated("cleaning up", target):
        with contextlib.suppress(rados.ObjectNotFound):
            ioctx.stat(wire.HEADER_PREFIX + identifier)
            raise ImageTaken(f"{target} is kept: it is complete")
        with contextlib.suppress(rados.ObjectNotFound):
            ioctx.remove_object(wire.OBJECT_MAP_PREFIX + identifier)
        _remove_name(ioctx, name, identifier)


def _add_to_directory(ioctx: Any, name: str, identifier: str) -> bool:
    """Adds the name to the pool's directory. Returns False if it was there with the same id."""
    names = wire.encode_text(name) + wire.encode_text(identifier)
    # A RADOS namespace that does not exist has no directory, and one that is being removed accepts no more names.
    ready = [("dir_state_assert", _NAMESPACE_READY)] if ioctx.get_namespace() else []
    try:
        _execute(ioctx, wire.DIRECTORY, *ready, ("dir_add_image", names))
    except rados.ObjectExists:
        _, found = ioctx.execute(wire.DIRECTORY, wire.CLASS_NAME, "dir_get_id", wire.encode_text(name))
        if wire.decode_text(found) != identifier:
            raise
        return False
    except rados.Error as error:
        if error.errno == errno.EBADF:
            raise ImageTaken(f"id {identifier} belongs to another image: check whether it was renamed") from error
        raise
    return True


def _write_id(ioctx: Any, name: str, identifier: str) -> None:
    try:
        _execute(ioctx, wire.ID_PREFIX + name, ("set_id", wire.encode_text(identifier)), exclusive=True)
    except rados.ObjectExists:
        if wire.decode_text(ioctx.read(wire.ID_PREFIX + name)) != identifier:
            raise


def _create_header(ioctx: Any, spec: ImageSpec, identifier: str) -> None:
    prefix = wire.encode_text(f"rbd_data.{identifier}")
    image = struct.pack("<QBQ", spec.size, spec.order, spec.feature_bits) + prefix + struct.pack("<q", _NO_DATA_POOL)
    metadata = wire.encode_map(spec.metadata)
    _execute(ioctx, wire.HEADER_PREFIX + identifier, ("create", image), ("metadata_set", metadata), exclusive=True)


def _remove_name(ioctx: Any, name: str, identifier: str) -> None:
    """Removes the name if it belongs to this id."""
    with contextlib.suppress(rados.ObjectNotFound):
        if wire.decode_text(ioctx.read(wire.ID_PREFIX + name)) == identifier:
            ioctx.remove_object(wire.ID_PREFIX + name)
    names = wire.encode_text(name) + wire.encode_text(identifier)
    with contextlib.suppress(rados.ObjectNotFound):
        _execute(ioctx, wire.DIRECTORY, ("dir_remove_image", names))


def _execute(ioctx: Any, name: str, *calls: tuple[str, bytes], exclusive: bool = False) -> None:
    """Calls methods of the `rbd` class on one object: all of them succeed, or none has an effect."""
    with rados.WriteOpCtx() as operation:
        if exclusive:
            operation.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
        for method, data in calls:
            operation.execute(wire.CLASS_NAME, method, data)
        ioctx.operate_write_op(operation, name)


def _object_count(spec: ImageSpec) -> int:
    return -(-spec.size // spec.object_size)
