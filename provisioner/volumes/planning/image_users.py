"""What still needs the image of a volume that is to be deleted: pure.

A volume that was copied by hand, or restored beside the old one, has the same image. A claim that comes back from a
backup names its volume, while the volume names the claim that there was before.
"""

from collections.abc import Mapping

from provisioner.volumes.cache_entries import CachedClaim, CachedVolume
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from sutler.typedefs import Json


def needed(
    volume: Json, image: VolumeRequest, claims: Mapping[str, CachedClaim], volumes: Mapping[str, CachedVolume | None]
) -> str:
    """Why the image has to stay, with the way out; empty: nothing needs it.

    `claims`: by namespace/name; `volumes`: by name, None for those that are not ours.
    """
    name, reference = volume["metadata"]["name"], volume["spec"].get("claimRef") or {}
    key = f"{reference.get('namespace')}/{reference.get('name')}"
    claim = claims.get(key)
    if claim is not None and claim.volume == name and claim.uid != reference.get("uid"):
        return (
            f"image {image.place.path} is kept: claim {key} names this volume, and the volume names an earlier claim "
            f"of that name. If the claim is to have it, set the volume's spec.claimRef.uid to {claim.uid}; else delete "
            "the claim"
        )
    for other, view in volumes.items():
        if other != name and view is not None and not view.ends and _has(view, image):
            return (
                f"image {image.place.path} is kept: PersistentVolume {other} has it, too. Delete that one first, with "
                "the reclaim policy Retain; or keep that one, and set the reclaim policy of this one to Retain"
            )
    return ""


def _has(view: CachedVolume, image: VolumeRequest) -> bool:
    known = (image.pool_id, image.image_id), (view.pool_id, view.image_id)
    if all(pool is not None and identifier for pool, identifier in known):
        return view.place is not None and view.place.cluster == image.place.cluster and known[0] == known[1]
    return view.place == image.place
