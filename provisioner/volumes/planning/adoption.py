"""Whether an image may become a claim's volume: pure.

What is at stake is other people's data. An image must never be two volumes, nor be deleted as one claim's while it is
another's, so whatever can't be told is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provisioner.ceph.interrupted import begun
from provisioner.ceph.model import FEATURES, RbdImage
from provisioner.volumes.planning import claims
from provisioner.volumes.planning.claims import ClaimRequest
from provisioner.volumes.planning.persistent_volume import CSI_DRIVER, ImageLocation
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler.errors import SutlerError
from sutler.quantity import Notation, parse
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.adoption_request import AdoptionRequest
from sutler.volumes.locations import ids_of, uses

_SHOWN = 3
"""Watchers named in a message."""


class AdoptionObstacle(SutlerError):  # noqa: N818 - what is in the way, not what went wrong
    """Why it can't be done now, and the way out; `passing`: it may be done later without anybody asking again."""

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class OtherVolume:
    """Another PersistentVolume that has the image, or something that looks like it."""

    name: str
    uid: str
    same_image: bool
    """Pool, namespace and name are the same; whether the cluster is, is another question."""
    same_handle: bool
    """The node plugin could not tell the two apart."""
    cluster: str | None
    """clusterID; None: it does not say."""
    claim: str
    """namespace/name"""
    leaves: bool
    """It is on its way out."""
    request: str
    """The request whose unfinished volume it is; empty: no one's."""


def fitted(cls: VolumeClass, wanted: AdoptionRequest) -> VolumeClass:
    """The class as it applies to an image that is there: nothing of it is made, and ceph-csi's journal has its own."""
    return replace(cls, waits_for_consumer=False, journal=False, filesystem=wanted.filesystem or cls.filesystem)


def check_place(place: ImageLocation, cls: VolumeClass) -> None:
    if place.namespace == cls.namespace:
        return
    where = f"RADOS namespace {place.namespace}" if place.namespace else "no RADOS namespace"
    other = f"RADOS namespace {cls.namespace}" if cls.namespace else "none"
    # Nodes learn the namespace from ceph-csi's own configuration: they would map another image of the same name.
    raise AdoptionObstacle(
        f"{place.path} is in {where}, and StorageClass {cls.name} is for {other}: use a class whose radosNamespace is "
        "the image's"
    )


def check_metadata(metadata: Mapping[str, str], identifier: str, path: str, kubernetes: str) -> None:
    if word := begun(metadata, identifier):
        raise AdoptionObstacle(f"{path} is not whole: {word} was begun; finish that first")
    cluster = metadata.get(well_known.KUBERNETES)
    if cluster not in {None, kubernetes} or (cluster is None and well_known.OWNER in metadata):
        whose = f"Kubernetes cluster {cluster}" if cluster else "another Kubernetes cluster"
        raise AdoptionObstacle(
            f"{path} belongs to {whose}; if that is gone, take its mark off: rbd image-meta remove {path} "
            f"{well_known.KUBERNETES}, and {well_known.OWNER}"
        )


def check_image(image: RbdImage, path: str, kubernetes: str, owner: str | None) -> None:
    """`owner`: who it was found to belong to before; nobody else may have taken it since."""
    check_metadata(image.metadata, image.id, path, kubernetes)
    if image.metadata.get(well_known.OWNER) != owner:
        raise AdoptionObstacle(f"{path} has become somebody else's meanwhile", passing=True)
    if image.watchers:
        raise AdoptionObstacle(
            f"{path} is in use at {', '.join(image.watchers[:_SHOWN])}: stop what uses it and unmap it there",
            passing=True,
        )


def other(volume: Json, place: ImageLocation, *, csi: bool, ids: tuple[int, str] | None = None) -> OtherVolume | None:
    """What another volume has to do with the image, if anything; `csi`: ours will be one of ceph-csi's node plugin.

    `ids`: of the image's pool and of the image, which a volume may know under an older name.
    """
    metadata, spec, status = volume["metadata"], volume["spec"], volume.get("status") or {}
    annotations = metadata.get("annotations") or {}
    source, reference = spec.get("csi") or {}, spec.get("claimRef") or {}
    plugin = str(source.get("driver", "")).endswith(CSI_DRIVER)
    same_image = uses(volume, place) or ids_of(volume) == ids
    same_handle = csi and plugin and source.get("volumeHandle") == place.image
    if not same_image and not same_handle:
        return None
    released = status.get("phase") == "Released" and spec.get("persistentVolumeReclaimPolicy") == "Delete"
    said = (source.get("volumeAttributes") or {}).get("clusterID") if plugin else None
    return OtherVolume(
        name=metadata["name"],
        uid=metadata["uid"],
        same_image=same_image,
        same_handle=same_handle,
        cluster=annotations.get(well_known.CLUSTER, said),
        claim=f"{reference.get('namespace')}/{reference.get('name')}",
        leaves=released or "deletionTimestamp" in metadata,
        request=annotations.get(well_known.ADOPTING, ""),
    )


def check_other(found: OtherVolume, path: str, claim: str, *, elsewhere: bool) -> None:
    """`claim`: that the image is for, as namespace/name; `elsewhere`: the other's is known to be in another cluster."""
    if found.same_image and not elsewhere:
        if found.leaves:
            raise AdoptionObstacle(f"PersistentVolume {found.name}, which has {path}, is being deleted", passing=True)
        raise AdoptionObstacle(
            f"{path} is the image of PersistentVolume {found.name}: set its persistentVolumeReclaimPolicy to Retain, "
            "then delete its claim and the volume",
            # The claim's volume until now: whoever asks is about to delete it.
            passing=found.claim == claim,
        )
    if found.same_handle:
        raise AdoptionObstacle(
            f"PersistentVolume {found.name} has an image of the same name elsewhere, and nodes would take one for the "
            f"other: rename this one (rbd rename {path} POOL/NAME)"
        )


def for_claim(claim: Json, cls: VolumeClass, size: int, path: str) -> ClaimRequest:
    """What the volume for the claim looks like; `size`: the image's, which need not be one that we would make."""
    key = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
    volume = claim["spec"].get("volumeName")
    if volume:
        raise AdoptionObstacle(f"claim {key} has volume {volume}: delete the claim first", passing=True)
    match claims.decide(claim, cls, formatted=True):
        case claims.IgnoreClaim(reason):
            raise AdoptionObstacle(f"claim {key} can't get it: {reason}", passing=True)
        case claims.RefuseClaim(message):
            raise AdoptionObstacle(f"claim {key}: {message}")
        case claims.ProvisionClaim(request):
            asked = parse(str(claim["spec"]["resources"]["requests"]["storage"])).round_up()
            if asked > size:
                raise AdoptionObstacle(
                    f"claim {key} asks for {asked} bytes and {path} has {size}: ask for less, or make the "
                    "image larger (rbd resize)"
                )
            return replace(request, size=size, notation=Notation.BINARY)


def with_features(cls: VolumeClass, image: RbdImage) -> VolumeClass:
    """The node plugin is told those that the image has, not those that the class would have given it."""
    return replace(cls, features=tuple(name for name in image.features if name in FEATURES) or cls.features)
