"""Images of format 1, which Ceph no longer creates by default.

The header of such an image is one object NAME.rbd that begins with a fixed line. The directory that Sutler reads does
not list it, and librbd opens an image of format 2 first: one with the same name hides it, together with its data.
"""

import errno
from typing import Any

from provisioner.ceph.errors import ImageTaken, Missing, image_label, translated

HEADER_SUFFIX = ".rbd"
_MAGIC = b"<<< Rados Block Device Image >>>"


def is_format1(ioctx: Any, key: str) -> bool:
    """Whether the object with this key is the header of an image of format 1."""
    try:
        with translated("reading", key):
            return bool(ioctx.read(key, len(_MAGIC)) == _MAGIC)
    except Missing:
        return False


def require_no_format1_image(ioctx: Any, name: str) -> None:
    """Raises ImageTaken if an image of format 1 has this name."""
    if is_format1(ioctx, name + HEADER_SUFFIX):
        raise ImageTaken(
            f"{image_label(ioctx, name)} exists already, in format 1, and a new image with its name would hide it: "
            "choose another name, or convert it to format 2 (rbd export, then rbd import --image-format 2)",
            code=errno.EEXIST,
        )
