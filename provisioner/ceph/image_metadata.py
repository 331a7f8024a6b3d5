"""Reads and writes the metadata of an image by its id, as blocking calls: one OSD operation each.

librbd writes one key at a time on an image that it has to open first: 45 OSD operations for the metadata of a claim.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from provisioner.ceph import cls_rbd
from provisioner.ceph.errors import Missing, image_errors, pool_path


def read_metadata(ioctx: Any, identifier: str) -> dict[str, str]:
    """Raises ImageMissing where there is no image with this id, in the trash or outside of it."""
    with image_errors("reading the metadata of", f"image {pool_path(ioctx)} id {identifier}"):
        request = cls_rbd.encode_metadata_list()
        _, data = ioctx.execute(cls_rbd.HEADER_PREFIX + identifier, cls_rbd.CLASS_NAME, "metadata_list", request, 65536)
        return cls_rbd.decode_map(data)


def write_metadata(ioctx: Any, identifier: str, metadata: Mapping[str, str], target: str = "") -> None:
    """Sets these keys and leaves the others as they are. `target` names the image in errors."""
    with image_errors("writing the metadata of", target or f"image id {identifier}"):
        request = cls_rbd.encode_map(metadata)
        ioctx.execute(cls_rbd.HEADER_PREFIX + identifier, cls_rbd.CLASS_NAME, "metadata_set", request)


def remove_key(ioctx: Any, identifier: str, key: str) -> None:
    """Removes one key. A key or an image that does not exist is a success."""
    with contextlib.suppress(Missing), image_errors("writing the metadata of", f"image id {identifier}"):
        request = cls_rbd.encode_text(key)
        ioctx.execute(cls_rbd.HEADER_PREFIX + identifier, cls_rbd.CLASS_NAME, "metadata_remove", request)
