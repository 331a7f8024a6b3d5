"""Images of format 1: what was made before 2016, and what nothing makes any more.

Such an image is one object NAME.rbd that begins with a fixed line. It is in no directory that we read, and opening
looks for the newer format first: one of that format under the same name hides it, with its data.
"""

import errno
from typing import Any

from provisioner.ceph.errors import ImageTaken, Missing, image_label, translated

HEADER_SUFFIX = ".rbd"
_MAGIC = b"<<< Rados Block Device Image >>>"


def is_format1(ioctx: Any, key: str) -> bool:
    """Whether the object of this name is the header of such an image."""
    try:
        with translated("reading", key):
            return bool(ioctx.read(key, len(_MAGIC)) == _MAGIC)
    except Missing:
        return False


def require_no_format1_image(ioctx: Any, name: str) -> None:
    if is_format1(ioctx, name + HEADER_SUFFIX):
        raise ImageTaken(
            f"{image_label(ioctx, name)} exists already, in format 1, which a new image of its name would hide: choose "
            "another name, or bring it into format 2 (rbd export, then rbd import --image-format 2)",
            code=errno.EEXIST,
        )
