"""Parked images: their volumes are deleted, and snapshots or clones still need them. Pure: no I/O.

An image is parked by a mark in its metadata. Copies and clones inherit metadata, and an image that is adopted gets
another owner, so the mark names the image and the owner that it is about: with any other it has no effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sutler import well_known
from sutler.volumes.identity import has_own_ids

_REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class ParkedImage:
    owner: str
    """UID of the claim that the image was created for."""
    trash_delay: int | None
    """Seconds for which the image can be restored from the trash after its last dependant; None: it is removed."""


def parked_metadata(image: str, owner: str, trash_delay: int | None) -> dict[str, str]:
    """Returns the mark for the image with this id."""
    return {well_known.PARKED: f"{image} {owner} {_REMOVE if trash_delay is None else trash_delay}"}


def parse_parked(metadata: Mapping[str, str], pool: int, image: str) -> ParkedImage | None:
    """Returns how the image with these ids is parked; None: it is not, or the mark is about another image or owner."""
    marked, owner, policy, *more = (*metadata.get(well_known.PARKED, "").split(" "), "", "")
    if marked != image or any(more) or not owner or owner != metadata.get(well_known.OWNER):
        return None
    if has_own_ids(metadata, pool, image) is not True or well_known.ADOPTING in metadata:
        return None
    if policy == _REMOVE:
        return ParkedImage(owner, None)
    return ParkedImage(owner, int(policy)) if policy.isascii() and policy.isdecimal() else None
