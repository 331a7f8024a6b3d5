"""Where an image is: pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sutler.volumes import names

_PART = re.compile(r"[^\s/@]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is."""

    cluster: str
    """clusterID as the StorageClass gave it; empty: the only one."""
    pool: str
    namespace: str
    image: str

    @property
    def path(self) -> str:
        return "/".join(part for part in (self.pool, self.namespace, self.image) if part)


def parse_place(cluster: str, text: str) -> Place | None:
    """From pool/[namespace/]image; None for what is no such thing, or holds what no later tool could name."""
    parts = text.split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        return None
    match parts:
        case [pool, image]:
            return Place(cluster, pool, "", image)
        case [pool, namespace, image]:
            return Place(cluster, pool, namespace, image)
    return None


def place_of(volume: Mapping[str, Any]) -> Place | None:
    """Where the image of a volume of ours is; None if the volume does not say."""
    annotations = volume["metadata"].get("annotations") or {}
    return parse_place(annotations.get(names.CLUSTER, ""), annotations.get(names.IMAGE, ""))
