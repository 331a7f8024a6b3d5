"""Locations of images and pools, and what a PersistentVolume records of its image. Pure: no I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sutler import well_known
from sutler.volumes.volume_name import owner_uid

CSI_DRIVER = "rbd.csi.ceph.com"
_HANDLE = re.compile(r"0001-[0-9a-f]{4}-.+-([0-9a-f]{16})-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A volumeHandle of ceph-csi with its journal; see provisioner.ceph.model.JournalEntry."""
PATH_PART = re.compile(r"[^\s/@\x00-\x1f\x7f-\x9f]+")
"""The name of a pool, a RADOS namespace or an image. No control characters: for librados, a NUL ends a name."""


@dataclass(frozen=True, slots=True, order=True)
class PoolLocation:
    """The location of images: a RADOS namespace of a pool."""

    cluster: str
    """clusterID as the StorageClass gave it; empty: the only cluster."""
    pool: str
    namespace: str
    """The RADOS namespace; empty: the default one."""

    @property
    def path(self) -> str:
        return f"{self.pool}/{self.namespace}" if self.namespace else self.pool


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """The names by which an image is found."""

    cluster: str
    """clusterID as the StorageClass gave it; empty: the only cluster."""
    pool: str
    namespace: str
    """The RADOS namespace; empty: the default one."""
    image: str

    @property
    def path(self) -> str:
        """pool/[namespace/]image."""
        return "/".join(part for part in (self.pool, self.namespace, self.image) if part)

    @property
    def pool_location(self) -> PoolLocation:
        return PoolLocation(self.cluster, self.pool, self.namespace)


def parse_location(cluster: str, text: str) -> ImageLocation | None:
    """Parses pool/[namespace/]image. Returns None for other text, and for names that later tools could not pass on."""
    parts = text.split("/")
    if not all(PATH_PART.fullmatch(part) for part in parts):
        return None
    match parts:
        case [pool, image]:
            return ImageLocation(cluster, pool, "", image)
        case [pool, namespace, image]:
            return ImageLocation(cluster, pool, namespace, image)
    return None


def is_sutler_volume(volume: Mapping[str, Any]) -> bool:
    """Whether Sutler has provisioned or adopted the PersistentVolume."""
    annotations = volume["metadata"].get("annotations") or {}
    return bool(annotations.get(well_known.PROVISIONED_BY) == well_known.PROVISIONER)


def location_of(volume: Mapping[str, Any]) -> ImageLocation | None:
    """Returns the location that a volume of Sutler's records for its image; None if it records none."""
    annotations = volume["metadata"].get("annotations") or {}
    return parse_location(annotations.get(well_known.CLUSTER, ""), annotations.get(well_known.IMAGE, ""))


def owner_of(volume: Mapping[str, Any]) -> str:
    """Returns the UID of the claim that the volume was provisioned for; it may be bound to another claim by now."""
    reference = volume["spec"].get("claimRef") or {}
    return owner_uid(volume["metadata"]["name"]) or str(reference.get("uid", ""))


def ids_of(volume: Mapping[str, Any]) -> tuple[int | None, str]:
    """Returns the ids of the pool and of the image; None and empty where the volume does not record them.

    The handle of a volume in ceph-csi's journal names the pool, also for volumes of version 0.1.0.
    """
    annotations = volume["metadata"].get("annotations") or {}
    pool, image = annotations.get(well_known.POOL_ID, ""), annotations.get(well_known.IMAGE_ID, "")
    if pool.isascii() and pool.isdecimal():
        return int(pool), image
    handle = _HANDLE.fullmatch(str((volume["spec"].get("csi") or {}).get("volumeHandle", "")))
    return int(handle[1], 16) if handle else None, image


def source_agrees(volume: Mapping[str, Any], location: ImageLocation) -> bool:
    """Whether the source that nodes use names the same image. In a volume that was copied by hand it may not."""
    spec = volume["spec"]
    csi, rbd = spec.get("csi") or {}, spec.get("rbd") or {}
    attributes = csi.get("volumeAttributes") or {}
    pool = rbd.get("pool") or attributes.get("pool") or location.pool
    static = csi.get("volumeHandle") if attributes.get("staticVolume") == "true" else None
    image = rbd.get("image") or attributes.get("imageName") or static or location.image
    return bool((pool, image) == (location.pool, location.image))


def uses_image(volume: Mapping[str, Any], location: ImageLocation) -> bool:
    """Whether the volume, of any provisioner, has the image of this pool and name. The cluster is not compared."""
    recorded = location_of(volume)
    if recorded is not None:
        return replace(recorded, cluster=location.cluster) == location
    spec = volume["spec"]
    if str((spec.get("csi") or {}).get("driver", "")).endswith(CSI_DRIVER):
        # ceph-csi's own volumes name the image in their attributes, old ones only at the end of their handle.
        handle = str(spec["csi"].get("volumeHandle", ""))
        attributes = spec["csi"].get("volumeAttributes") or {}
        pools = {attributes.get("pool"), attributes.get("journalPool")} - {None}
        images = {attributes.get("imageName"), handle, f"csi-vol-{handle[-36:]}"}
        return location.image in images and (location.pool in pools or not pools)
    rbd = spec.get("rbd") or {}
    return (rbd.get("pool") or "rbd", rbd.get("image")) == (location.pool, location.image)
