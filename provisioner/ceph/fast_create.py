"""Making a blank image in three OSD operations, by the methods of the OSD's `rbd` class that librbd's own create calls.

What it is for: the image's header and its metadata come into being in one operation. However we end, there is never an
image that does not say whose it is, as there can be between librbd's create and the first metadata. And it costs a
tenth of our processor time: librbd sets up threads and caches for the image, and draws an id that has to be read back.

The order is the directory, the name, the header: what is left behind half-way can be seen, and can be taken up again,
since the id is not drawn but given. Images that need more than that (`can_create`) are left to librbd.
"""

import contextlib
import errno
import struct
from typing import Any

from provisioner.ceph import cls_rbd as wire
from provisioner.ceph.bindings import rados
from provisioner.ceph.errors import ImageTaken, image_errors, translated
from provisioner.ceph.model import LARGEST_OBJECT, LONGEST_NAME, SMALLEST_OBJECT, ImageSpec

_DIRECTORY = "rbd_directory"
_OBJECT_MAP = "rbd_object_map."
_FEATURES = frozenset({"layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"})
_MOST_MAPPED_OBJECTS = 256_000_000
"""Objects that an object map may tell of, as in librbd."""
_FULL = (errno.EDQUOT, errno.ENOSPC)
_NAMESPACE_READY = b"\0"
_NO_DATA_POOL = -1
"""No data pool."""


def can_create(spec: ImageSpec) -> bool:
    """Whether such an image can be made here; librbd makes the others, or says what is wrong with them."""
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
    """Makes the image, or finishes what an earlier call has left half-way. For one that `can_create`.

    Raises ImageTaken when there is an image of that name, whole or not by us.
    """
    identifier = str(spec.id)
    with image_errors("creating", target):
        entered = _add_to_directory(ioctx, spec.name, identifier)
        try:
            _write_id(ioctx, spec.name, identifier)
            if "object-map" in spec.features:
                resize = struct.pack("<QB", _object_count(spec), 0)
                _execute(ioctx, _OBJECT_MAP + identifier, ("object_map_resize", resize))
            _create_header(ioctx, spec, identifier)
        except rados.ObjectExists:
            if not entered:
                raise
            _remove_name(ioctx, spec.name, identifier)
            # The header's name was not in the directory until now.
            raise ImageTaken(f"{target}: there is an image of id {identifier}, in the trash perhaps") from None
        except rados.Error as error:
            if abs(error.errno or 0) in _FULL:
                # A full pool takes names into its directory, but no new objects.
                remove_incomplete(ioctx, spec.name, identifier, target)
            raise


def remove_incomplete(ioctx: Any, name: str, identifier: str, target: str) -> None:
    """Removes what a create has left half-way: a name, and no image. Raises ImageTaken when there is one."""
    with translated("cleaning up", target):
        with contextlib.suppress(rados.ObjectNotFound):
            ioctx.stat(wire.HEADER_PREFIX + identifier)
            raise ImageTaken(f"{target} is kept: it is whole")
        with contextlib.suppress(rados.ObjectNotFound):
            ioctx.remove_object(_OBJECT_MAP + identifier)
        _remove_name(ioctx, name, identifier)


def _add_to_directory(ioctx: Any, name: str, identifier: str) -> bool:
    """Into the pool's directory; False if it was there."""
    names = wire.encode_text(name) + wire.encode_text(identifier)
    # A RADOS namespace that is none has no directory, and one that is being removed takes no more.
    ready = [("dir_state_assert", _NAMESPACE_READY)] if ioctx.get_namespace() else []
    try:
        _execute(ioctx, _DIRECTORY, *ready, ("dir_add_image", names))
    except rados.ObjectExists:
        _, found = ioctx.execute(_DIRECTORY, wire.CLASS_NAME, "dir_get_id", wire.encode_text(name))
        if wire.decode_text(found) != identifier:
            raise
        return False
    except rados.Error as error:
        if error.errno == errno.EBADF:
            raise ImageTaken(f"id {identifier} is that of another image: has it been renamed?") from error
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
    """Takes our own name away, and nobody else's."""
    with contextlib.suppress(rados.ObjectNotFound):
        if wire.decode_text(ioctx.read(wire.ID_PREFIX + name)) == identifier:
            ioctx.remove_object(wire.ID_PREFIX + name)
    names = wire.encode_text(name) + wire.encode_text(identifier)
    with contextlib.suppress(rados.ObjectNotFound):
        _execute(ioctx, _DIRECTORY, ("dir_remove_image", names))


def _execute(ioctx: Any, name: str, *calls: tuple[str, bytes], exclusive: bool = False) -> None:
    """Methods of the `rbd` class on one object, all of them or none."""
    with rados.WriteOpCtx() as operation:
        if exclusive:
            operation.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
        for method, data in calls:
            operation.execute(wire.CLASS_NAME, method, data)
        ioctx.operate_write_op(operation, name)


def _object_count(spec: ImageSpec) -> int:
    return -(-spec.size // spec.object_size)
