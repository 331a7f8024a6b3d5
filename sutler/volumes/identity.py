"""Whose an image is: pure.

Names are changed, and metadata is copied: `rbd cp`, deep copies, clones and migrations carry all of it along, so a
backup of a claim's image names that claim as its owner. What no copy has is the id. So an image's metadata names the
ids of its pool and of itself, and only one that has the ids that it names is the claim's.

Images made by version 0.1.0 name no ids. Theirs follows from the name that they were made under, unless librbd drew it.
"""

import hashlib
from collections.abc import Mapping
from enum import Enum

from sutler.volumes import well_known

_ID_LENGTH = 14
"""Characters: the most that librbd and the kernel take."""


class Relation(Enum):
    """Of an image to a Kubernetes cluster's claims."""

    NOBODYS = "nobody's"
    """It names no owner."""
    FOREIGN = "foreign"
    """It is another Kubernetes cluster's, or does not say which one's."""
    COPY = "copy"
    """It has other ids than it says: a copy, a clone, or what a migration has made of the claim's image."""
    PROVEN = "proven"
    LIKELY = "likely"
    """It names an owner of ours, and nothing proves that it is not a copy."""


def image_id(kubernetes: str, name: str) -> str:
    """The image's id: as good as random, and the same every time, so that what was left half-made is known for ours."""
    return hashlib.sha256(f"{kubernetes}/{name}".encode()).hexdigest()[:_ID_LENGTH]


def marks(pool: int, image: str) -> dict[str, str]:
    """What an image's metadata says of its own ids."""
    return {well_known.POOL_ID: str(pool), well_known.IMAGE_ID: image}


def names_itself(metadata: Mapping[str, str], pool: int, image: str) -> bool | None:
    """Whether the ids in the metadata are the image's own; None: there are none."""
    said = metadata.get(well_known.IMAGE_ID)
    if said is None:
        return None
    return said == image and metadata.get(well_known.POOL_ID, str(pool)) == str(pool)


def relation(metadata: Mapping[str, str], *, pool: int, image: str, name: str, kubernetes: str) -> Relation:
    if well_known.OWNER not in metadata:
        return Relation.NOBODYS
    if metadata.get(well_known.KUBERNETES) != kubernetes:
        return Relation.FOREIGN
    itself = names_itself(metadata, pool, image)
    if itself is None:
        return Relation.PROVEN if image == image_id(kubernetes, name) else Relation.LIKELY
    return Relation.PROVEN if itself else Relation.COPY
