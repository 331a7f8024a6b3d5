"""Finds what still uses the image of a volume that is to be deleted. Pure: no I/O.

A volume that was copied manually, or restored beside the old one, has the same image. A claim that was restored from a
backup names its volume, while the volume names the earlier claim of that name.
"""

from collections.abc import Mapping

from provisioner.volumes.cache_entries import CachedClaim, CachedVolume
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from sutler.typedefs import Json


def keep_reason(
    volume: Json, image: VolumeRequest, claims: Mapping[str, CachedClaim], volumes: Mapping[str, CachedVolume | None]
) -> str:
    """Returns why the image must be kept, and what to do; empty: nothing uses it.

    `claims`: by namespace/name; `volumes`: by name, None for those that are not Sutler's.
    """
    name, reference = volume["metadata"]["name"], volume["spec"].get("claimRef") or {}
    key = f"{reference.get('namespace')}/{reference.get('name')}"
    claim = claims.get(key)
    if claim is not None and claim.volume == name and claim.uid != reference.get("uid"):
        return (
            f"image {image.location.path} is kept: claim {key} names this volume, and the volume names an earlier "
            f"claim of that name. To give the claim the volume, set its spec.claimRef.uid to {claim.uid}; otherwise "
            "delete the claim"
        )
    for other, cached in volumes.items():
        if other != name and cached is not None and not cached.awaits_deletion and _has(cached, image):
            return (
                f"image {image.location.path} is kept: PersistentVolume {other} has it, too. Either delete {other} "
                "first, with reclaim policy Retain, or keep it and set the reclaim policy of this volume to Retain"
            )
    return ""


def _has(cached: CachedVolume, image: VolumeRequest) -> bool:
    known = (image.pool_id, image.image_id), (cached.pool_id, cached.image_id)
    if all(pool is not None and identifier for pool, identifier in known):
        return (
            cached.location is not None and cached.location.cluster == image.location.cluster and known[0] == known[1]
        )
    return cached.location == image.location
