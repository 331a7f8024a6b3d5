"""Decides which claim an image belongs to. Pure: no I/O.

Names change, and metadata is copied: `rbd cp`, deep copies, clones and migrations copy all of it, so a backup of a
claim's image names that claim as its owner. Only the id is never copied. Therefore an image's metadata records the ids
of its pool and of itself, and an image is the claim's only if it has the ids that it records.

Images of version 0.1.0 record no ids. Their id follows from the name at creation, unless librbd chose it at random.
"""

import hashlib
from collections.abc import Mapping
from enum import Enum

from sutler import well_known

_ID_LENGTH = 14
"""Characters: the most that librbd and the kernel accept."""


class Relation(Enum):
    """How an image relates to the claims of a Kubernetes cluster."""

    UNOWNED = "unowned"
    """The image names no owner."""
    FOREIGN = "foreign"
    """The image belongs to another Kubernetes cluster, or names none."""
    COPY = "copy"
    """The image has other ids than it records: it is a copy, a clone, or the result of a migration."""
    PROVEN = "proven"
    """The image belongs to the claim that it names."""
    LIKELY = "likely"
    """The image names a claim of this Kubernetes cluster, and nothing proves that it is not a copy."""


def image_id(kubernetes: str, name: str) -> str:
    """Returns the id for a new image. It is the same at each attempt, so that an incomplete image is recognised."""
    return hashlib.sha256(f"{kubernetes}/{name}".encode()).hexdigest()[:_ID_LENGTH]


def id_metadata(pool: int, image: str) -> dict[str, str]:
    """Returns the metadata (or annotations) that record the ids of the pool and of the image."""
    return {well_known.POOL_ID: str(pool), well_known.IMAGE_ID: image}


def has_own_ids(metadata: Mapping[str, str], pool: int, image: str) -> bool | None:
    """Whether the ids that the metadata records are the image's own; None: it records none."""
    recorded = metadata.get(well_known.IMAGE_ID)
    if recorded is None:
        return None
    return recorded == image and metadata.get(well_known.POOL_ID, str(pool)) == str(pool)


def relation(metadata: Mapping[str, str], *, pool: int, image: str, name: str, kubernetes: str) -> Relation:
    """Returns how the image relates to the claims of a Kubernetes cluster.

    Args:
        metadata: of the image.
        pool: the id of the image's pool.
        image: the image's id.
        name: the image's name.
        kubernetes: the UID of the Kubernetes cluster's kube-system namespace.
    """
    if well_known.OWNER not in metadata:
        return Relation.UNOWNED
    if metadata.get(well_known.KUBERNETES) != kubernetes:
        return Relation.FOREIGN
    own = has_own_ids(metadata, pool, image)
    if own is None:
        return Relation.PROVEN if image == image_id(kubernetes, name) else Relation.LIKELY
    return Relation.PROVEN if own else Relation.COPY
