"""Reads whether and how an image is mirrored to another Ceph cluster, as blocking calls."""

from dataclasses import dataclass
from typing import Any

from provisioner.ceph import directory

_MIRRORING, _IMAGE = "rbd_mirroring", "image_"
_DISABLED = 2
_STATES = ("disabling", "enabled", "disabled")
_MODES = ("journal", "snapshot")
"""By librbd's numbers."""


@dataclass(frozen=True, slots=True)
class ImageMirroring:
    mode: str
    """journal or snapshot"""
    state: str
    """enabled, or disabling until its snapshots of mirroring are removed"""
    primary: bool
    """False: the image is a copy that only mirroring changes, or it was demoted."""


def read(ioctx: Any, opened: Any, identifier: str) -> ImageMirroring | None:
    """None for an image that is not mirrored, which the pool's own list shows without a call for each image."""
    key = _IMAGE + identifier
    if not any(found == key for found, _ in directory.read_omap(ioctx, _MIRRORING, "", key, 1)):
        return None
    found = opened.mirror_image_get_info()
    if found["state"] == _DISABLED:
        return None
    mode = opened.mirror_image_get_mode()
    return ImageMirroring(_word(_MODES, mode), _word(_STATES, found["state"]), bool(found["primary"]))


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number] if 0 <= number < len(words) else f"unknown-{number}"
