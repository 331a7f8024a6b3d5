"""Flattens clones, as blocking calls: copies the data that a clone shares with its parent, and detaches it.

A call that is interrupted has copied a part, and loses nothing. The image can be in use meanwhile.
"""

import errno
from typing import Any

from provisioner.ceph import dependents, volume_snapshots
from provisioner.ceph.bindings import rbd
from provisioner.ceph.errors import CephError, image_errors
from provisioner.ceph.images import Fence
from provisioner.ceph.removal_progress import Cancelled, ReportProgress


def flatten_volume(ioctx: Any, identifier: str, fence: Fence, progress: ReportProgress) -> bool:
    """Flattens the image with this id. Returns whether it had a parent. Raises ImageMissing."""
    header = volume_snapshots.require_image(ioctx, identifier)
    if not header.is_clone:
        return False
    target = volume_snapshots.image_text(ioctx, identifier)
    with (
        dependents.explained_refusal(ioctx, identifier, target, "IMAGE"),
        image_errors("flattening", target),
        rbd.Image(ioctx, image_id=identifier) as opened,
    ):
        if not _has_parent(opened):
            return False
        fence()
        flatten(opened, target, progress)
        return True


def _has_parent(opened: Any) -> bool:
    """Whether the image itself has a parent: its snapshots may still have the former one."""
    try:
        opened.get_parent_image_spec()
    except rbd.ImageNotFound:
        return False
    return True


def flatten(opened: Any, target: str, progress: ReportProgress) -> None:
    """Flattens an open image. Raises Cancelled if `progress` does. `target` names the image in errors."""
    stopped: list[Cancelled] = []

    def callback(done: int, total: int) -> int:
        try:
            progress(done / total if total else 0.0)
        except Cancelled as error:
            stopped.append(error)
            return -errno.ECANCELED
        return 0

    try:
        with image_errors("flattening", target):
            opened.flatten(on_progress=callback)
    except CephError as error:
        if stopped and error.code == errno.ECANCELED:
            text = f"flattening {target} was stopped before it was complete: {stopped[0]}"
            raise Cancelled(text, code=errno.ECANCELED) from None
        raise
