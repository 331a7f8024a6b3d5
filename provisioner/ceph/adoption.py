"""Makes existing images belong to a claim, as blocking calls.

The check and the write are one call, and calls for one image never run at the same time. So no other call of this
process removes the image, or gives it another owner, in between.
"""

from collections.abc import Callable, Mapping
from typing import Any

from provisioner.ceph.bindings import rbd
from provisioner.ceph.errors import image_errors, pool_path
from provisioner.ceph.format1 import require_no_format1_image
from provisioner.ceph.image_metadata import read_metadata, remove_key, write_metadata
from provisioner.ceph.images import Fence, describe
from provisioner.ceph.metadata_update import replace_metadata
from provisioner.ceph.model import RbdImage
from sutler.volumes.identity import id_metadata
from sutler.volumes.limits import outdated_limits

_LIBRBD = rbd.RBD()

CheckMetadata = Callable[[Mapping[str, str]], None]
"""Called with an image's metadata; raises if the image must not be restored."""


def claim_ownership(
    ioctx: Any, name: str, judge: Callable[[RbdImage], None], metadata: Mapping[str, str], fence: Fence
) -> RbdImage:
    """Writes the metadata to the image, unless `judge` raises. Returns the image as it was before.

    Limits that the metadata does not have are removed from the image.
    """
    found = describe(ioctx, name)
    judge(found)
    fence()
    # The image's own ids come along: even a former copy belongs to this claim from now on.
    own = {**metadata, **id_metadata(ioctx.get_pool_id(), found.id)}
    replace_metadata(ioctx, found.id, own, outdated_limits(found.metadata, own))
    return found


def restore_with_metadata(
    ioctx: Any, identifier: str, name: str, judge: CheckMetadata, metadata: Mapping[str, str], *, fence: Fence
) -> None:
    """Restores the image from the trash. The metadata is written first, so the image never appears without it."""
    judge(read_metadata(ioctx, identifier))
    require_no_format1_image(ioctx, name)
    fence()
    write_metadata(ioctx, identifier, metadata, f"image {pool_path(ioctx)} id {identifier}")
    with image_errors("restoring", f"image {pool_path(ioctx)} id {identifier} as {name}"):
        _LIBRBD.trash_restore(ioctx, identifier, name)


def remove_metadata_key(ioctx: Any, identifier: str, key: str, fence: Fence) -> None:
    """Removes one key from the image's metadata if it is there."""
    fence()
    remove_key(ioctx, identifier, key)
