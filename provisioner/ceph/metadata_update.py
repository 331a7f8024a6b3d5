"""Changes several keys of an image's metadata by one OSD operation, as blocking calls."""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from provisioner.ceph import cls_rbd
from provisioner.ceph.bindings import rados
from provisioner.ceph.errors import image_errors, pool_path
from sutler.volumes.limits import KEY_PREFIX, outdated_limits

_HEAD = struct.pack("<q", -2)
"""The image itself, where methods can take a snapshot."""


def replace_metadata(ioctx: Any, identifier: str, metadata: Mapping[str, str], removed: Iterable[str]) -> None:
    """Sets these keys and removes those, all of it or nothing. Raises ImageMissing."""
    target = f"image {pool_path(ioctx)} id {identifier}"
    with image_errors("writing the metadata of", target), rados.WriteOpCtx() as operation:
        # It fails if there is no header. metadata_set alone would create one for an image that was removed meanwhile.
        operation.execute(cls_rbd.CLASS_NAME, "get_features", _HEAD)
        if metadata:
            operation.execute(cls_rbd.CLASS_NAME, "metadata_set", cls_rbd.encode_map(metadata))
        for key in removed:
            operation.execute(cls_rbd.CLASS_NAME, "metadata_remove", cls_rbd.encode_text(key))
        ioctx.operate_write_op(operation, cls_rbd.HEADER_PREFIX + identifier)


def update_limits(
    ioctx: Any, identifier: str, found: Mapping[str, str], wanted: Mapping[str, str], fence: Callable[[], None]
) -> None:
    """Sets the limits among the `wanted` metadata, and removes all others. `found`: the metadata that the image has."""
    limits = {key: value for key, value in wanted.items() if key.startswith(KEY_PREFIX)}
    outdated = outdated_limits(found, limits)
    if outdated or any(found.get(key) != value for key, value in limits.items()):
        fence()
        replace_metadata(ioctx, identifier, limits, outdated)
