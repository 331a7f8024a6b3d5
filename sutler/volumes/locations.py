"""Where an image is: pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sutler.volumes import well_known

CSI_DRIVER = "rbd.csi.ceph.com"
_HANDLE = re.compile(r"0001-[0-9a-f]{4}-.+-([0-9a-f]{16})-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""ceph-csi's, with its journal; see provisioner.ceph.model.Entry."""
PART = re.compile(r"[^\s/@\x00-\x1f\x7f-\x9f]+")
"""Of a path: a pool, a RADOS namespace or an image. For librados, a NUL ends a name."""


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """Where an image is."""

    cluster: str
    """clusterID as the StorageClass gave it; empty: the only one."""
    pool: str
    namespace: str
    image: str

    @property
    def path(self) -> str:
        return "/".join(part for part in (self.pool, self.namespace, self.image) if part)


def parse_place(cluster: str, text: str) -> ImageLocation | None:
    """From pool/[namespace/]image; None for what is no such thing, or holds what no later tool could name."""
    parts = text.split("/")
    if not all(PART.fullmatch(part) for part in parts):
        return None
    match parts:
        case [pool, image]:
            return ImageLocation(cluster, pool, "", image)
        case [pool, namespace, image]:
            return ImageLocation(cluster, pool, namespace, image)
    return None


def place_of(volume: Mapping[str, Any]) -> ImageLocation | None:
    """Where the image of a volume of ours is; None if the volume does not say."""
    annotations = volume["metadata"].get("annotations") or {}
    return parse_place(annotations.get(well_known.CLUSTER, ""), annotations.get(well_known.IMAGE, ""))


def owner_of(volume: Mapping[str, Any]) -> str:
    """UID of the claim that a volume of ours was made for; the claim that it is bound to now may be another one."""
    reference = volume["spec"].get("claimRef") or {}
    return well_known.owner_of(volume["metadata"]["name"]) or str(reference.get("uid", ""))


def ids_of(volume: Mapping[str, Any]) -> tuple[int | None, str]:
    """Of the pool and the image; None and empty where the volume does not say.

    In ceph-csi's journal, the volume's handle names the pool, also for volumes that version 0.1.0 has made.
    """
    annotations = volume["metadata"].get("annotations") or {}
    pool, image = annotations.get(well_known.POOL_ID, ""), annotations.get(well_known.IMAGE_ID, "")
    if pool.isascii() and pool.isdecimal():
        return int(pool), image
    handle = _HANDLE.fullmatch(str((volume["spec"].get("csi") or {}).get("volumeHandle", "")))
    return int(handle[1], 16) if handle else None, image


def source_agrees(volume: Mapping[str, Any], place: ImageLocation) -> bool:
    """Whether what nodes are given names the same image: it need not in a volume that was copied by hand."""
    spec = volume["spec"]
    csi, rbd = spec.get("csi") or {}, spec.get("rbd") or {}
    attributes = csi.get("volumeAttributes") or {}
    pool = rbd.get("pool") or attributes.get("pool") or place.pool
    static = csi.get("volumeHandle") if attributes.get("staticVolume") == "true" else None
    image = rbd.get("image") or attributes.get("imageName") or static or place.image
    return bool((pool, image) == (place.pool, place.image))


def uses(volume: Mapping[str, Any], place: ImageLocation) -> bool:
    """Whether the volume, of whomever, has the image of this pool and name; the cluster is not looked at."""
    ours = place_of(volume)
    if ours is not None:
        return replace(ours, cluster=place.cluster) == place
    spec = volume["spec"]
    if str((spec.get("csi") or {}).get("driver", "")).endswith(CSI_DRIVER):
        # ceph-csi's own volumes name the image in their attributes, old ones only in the end of their handle.
        handle = str(spec["csi"].get("volumeHandle", ""))
        attributes = spec["csi"].get("volumeAttributes") or {}
        pools = {attributes.get("pool"), attributes.get("journalPool")} - {None}
        images = {attributes.get("imageName"), handle, f"csi-vol-{handle[-36:]}"}
        return place.image in images and (place.pool in pools or not pools)
    rbd = spec.get("rbd") or {}
    return (rbd.get("pool") or "rbd", rbd.get("image")) == (place.pool, place.image)
