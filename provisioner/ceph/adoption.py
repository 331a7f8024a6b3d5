"""Taking over images that somebody else has made, as blocking calls.

Looking and writing are one call, and calls about one image never run side by side: nothing removes the image, or makes
it somebody else's, in between.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from provisioner.ceph import cls_rbd as wire
from provisioner.ceph.bindings import rbd
from provisioner.ceph.errors import ImageMissing, Missing
from provisioner.ceph.format1 import require_no_namesake
from provisioner.ceph.images import Fence, describe, metadata_of
from provisioner.ceph.model import RbdImage
from provisioner.ceph.where import image, image_errors, place
from sutler.volumes.identity import id_metadata

_LIBRBD = rbd.RBD()

Judge = Callable[[Mapping[str, str]], None]
"""Told an image's metadata; raises when it must not be taken."""


def own(
    ioctx: Any, name: str, judge: Callable[[RbdImage], None], metadata: Mapping[str, str], fence: Fence
) -> RbdImage:
    """Writes the metadata onto the image, if `judge` has nothing against it."""
    found = describe(ioctx, name)
    judge(found)
    fence()
    # With its own ids: what was a copy is this claim's from now on.
    _write(ioctx, found.id, {**metadata, **id_metadata(ioctx.get_pool_id(), found.id)}, image(ioctx, name))
    return found


def restore(ioctx: Any, identifier: str, name: str, judge: Judge, metadata: Mapping[str, str], *, fence: Fence) -> None:
    """Takes the image out of the trash, with the metadata written first: it is never back without it."""
    judge(metadata_of(ioctx, identifier))
    require_no_namesake(ioctx, name)
    fence()
    _write(ioctx, identifier, metadata, f"image {place(ioctx)} id {identifier}")
    with image_errors("restoring", f"image {place(ioctx)} id {identifier} as {name}"):
        _LIBRBD.trash_restore(ioctx, identifier, name)


def forget(ioctx: Any, identifier: str, key: str, fence: Fence) -> None:
    """Takes one key out of the image's metadata, if it is there."""
    fence()
    raw = key.encode()
    with contextlib.suppress(Missing, ImageMissing), image_errors("writing the metadata of", f"image id {identifier}"):
        ioctx.execute(wire.HEADER + identifier, wire.CLASS, "metadata_remove", len(raw).to_bytes(4, "little") + raw)


def _write(ioctx: Any, identifier: str, metadata: Mapping[str, str], target: str) -> None:
    with image_errors("writing the metadata of", target):
        ioctx.execute(wire.HEADER + identifier, wire.CLASS, "metadata_set", wire.encode_map(metadata))
