"""Decides whether an image may be adopted as a claim's volume. Pure: no I/O.

A mistake here costs other people's data: an image must never belong to two volumes, nor be deleted for one claim while
another uses it. So each case that can't be decided is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provisioner.ceph.interrupted import interrupted_work
from provisioner.ceph.model import FEATURES, RbdImage
from provisioner.volumes.planning import claims
from provisioner.volumes.planning.claims import ClaimRequest
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler import well_known
from sutler.errors import SutlerError
from sutler.quantity import Notation, parse
from sutler.typedefs import Json
from sutler.volumes.adoption_request import AdoptionRequest
from sutler.volumes.locations import CSI_DRIVER, ImageLocation, ids_of, uses_image

_MOST_NAMED = 3
"""The most watchers that a message names."""


class AdoptionObstacle(SutlerError):  # noqa: N818 - an obstacle, not an error
    """Why the image can't be adopted now, and what to do about it."""

    def __init__(self, text: str, *, temporary: bool = False) -> None:
        """`temporary`: the controller tries again, since the obstacle may disappear without another request."""
        super().__init__(text)
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class OtherVolume:
    """Another PersistentVolume that uses the image, or one of the same name."""

    name: str
    uid: str
    same_image: bool
    """Whether pool, namespace and name are the same. The clusters may differ."""
    same_handle: bool
    """Whether both would have the same volumeHandle, which nodes could not distinguish."""
    cluster: str | None
    """clusterID; None: the volume names none."""
    claim: str
    """namespace/name of the claim that the volume is bound to"""
    deleting: bool
    """Whether the volume is being deleted, or will be."""
    request: str
    """Name of the request whose incomplete adoption has created the volume; empty: none has."""


def class_for_adoption(cls: VolumeClass, request: AdoptionRequest) -> VolumeClass:
    """Returns the class as it applies to an existing image, which has no entry in ceph-csi's journal."""
    return replace(cls, waits_for_consumer=False, journal=False, filesystem=request.filesystem or cls.filesystem)


def require_namespace(location: ImageLocation, cls: VolumeClass) -> None:
    """Raises AdoptionObstacle unless the image is in the RADOS namespace of the class.

    Nodes read the namespace from ceph-csi's own configuration: they would map another image of the same name.
    """
    if location.namespace == cls.namespace:
        return
    actual = f"RADOS namespace {location.namespace}" if location.namespace else "no RADOS namespace"
    expected = f"RADOS namespace {cls.namespace}" if cls.namespace else "no RADOS namespace"
    raise AdoptionObstacle(
        f"{location.path} is in {actual}, and StorageClass {cls.name} has {expected}: use a class whose radosNamespace "
        "is the image's"
    )


def require_adoptable(metadata: Mapping[str, str], identifier: str, path: str, kubernetes: str) -> None:
    """Raises AdoptionObstacle if the image is incomplete or belongs to another Kubernetes cluster."""
    if operation := interrupted_work(metadata, identifier):
        raise AdoptionObstacle(f"{path} is incomplete: operation {operation} was interrupted; complete it first")
    cluster = metadata.get(well_known.KUBERNETES)
    if cluster not in {None, kubernetes} or (cluster is None and well_known.OWNER in metadata):
        owner = f"Kubernetes cluster {cluster}" if cluster else "another Kubernetes cluster"
        raise AdoptionObstacle(
            f"{path} belongs to {owner}. If that cluster does not exist any more, remove its keys from the image: "
            f"rbd image-meta remove {path} {well_known.KUBERNETES}, and the same for {well_known.OWNER}"
        )


def require_unused(image: RbdImage, path: str, kubernetes: str, owner: str | None) -> None:
    """Raises AdoptionObstacle if the image is in use, or has another owner than the one that was found before."""
    require_adoptable(image.metadata, image.id, path, kubernetes)
    if image.metadata.get(well_known.OWNER) != owner:
        raise AdoptionObstacle(f"{path} has got another owner meanwhile", temporary=True)
    if image.watchers:
        raise AdoptionObstacle(
            f"{path} is in use at {', '.join(image.watchers[:_MOST_NAMED])}: stop what uses it, and unmap it there",
            temporary=True,
        )


def other_volume(
    volume: Json, location: ImageLocation, *, csi: bool, ids: tuple[int, str] | None = None
) -> OtherVolume | None:
    """Returns how an existing volume relates to the image; None: it does not.

    Args:
        volume: the PersistentVolume.
        location: of the image.
        csi: whether ceph-csi's node plugin would mount the adopted volume.
        ids: of the image's pool and of the image; a volume may record them with an older name.
    """
    metadata, spec, status = volume["metadata"], volume["spec"], volume.get("status") or {}
    annotations = metadata.get("annotations") or {}
    source, reference = spec.get("csi") or {}, spec.get("claimRef") or {}
    plugin = str(source.get("driver", "")).endswith(CSI_DRIVER)
    same_image = uses_image(volume, location) or ids_of(volume) == ids
    same_handle = csi and plugin and source.get("volumeHandle") == location.image
    if not same_image and not same_handle:
        return None
    released = status.get("phase") == "Released" and spec.get("persistentVolumeReclaimPolicy") == "Delete"
    cluster = (source.get("volumeAttributes") or {}).get("clusterID") if plugin else None
    return OtherVolume(
        name=metadata["name"],
        uid=metadata["uid"],
        same_image=same_image,
        same_handle=same_handle,
        cluster=annotations.get(well_known.CLUSTER, cluster),
        claim=f"{reference.get('namespace')}/{reference.get('name')}",
        deleting=released or "deletionTimestamp" in metadata,
        request=annotations.get(well_known.ADOPTING, ""),
    )


def require_no_conflict(found: OtherVolume, path: str, claim: str, *, other_cluster: bool) -> None:
    """Raises AdoptionObstacle if another volume uses the image, or one that nodes could not distinguish from it.

    Args:
        found: the other volume.
        path: of the image.
        claim: namespace/name of the claim that is to get the image.
        other_cluster: whether the other volume's image is known to be in another Ceph cluster.
    """
    if found.same_image and not other_cluster:
        if found.deleting:
            raise AdoptionObstacle(f"PersistentVolume {found.name}, which has {path}, is being deleted", temporary=True)
        raise AdoptionObstacle(
            f"{path} is the image of PersistentVolume {found.name}: set its persistentVolumeReclaimPolicy to Retain, "
            "then delete its claim and the volume",
            # The claim's present volume: the user is probably about to delete it.
            temporary=found.claim == claim,
        )
    if found.same_handle:
        raise AdoptionObstacle(
            f"PersistentVolume {found.name} has an image of the same name in another pool or cluster, and nodes could "
            f"not distinguish the two: rename this one (rbd rename {path} POOL/NAME)"
        )


def claim_request(claim: Json, cls: VolumeClass, size: int, path: str) -> ClaimRequest:
    """Returns the request for the claim's volume, with the image's `size` in bytes, which may have any value.

    Raises AdoptionObstacle if the claim can't get the image.
    """
    key = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
    volume = claim["spec"].get("volumeName")
    if volume:
        raise AdoptionObstacle(f"claim {key} has volume {volume}: delete the claim first", temporary=True)
    match claims.decide(claim, cls, formatted=True):
        case claims.IgnoreClaim(reason):
            raise AdoptionObstacle(f"claim {key} can't get {path}: {reason}", temporary=True)
        case claims.RefuseClaim(message) | claims.AwaitPopulator(message):
            raise AdoptionObstacle(f"claim {key}: {message}")
        case claims.ProvisionClaim(request) if request.source is not None:
            raise AdoptionObstacle(
                f"claim {key} has dataSource {request.source}, and {path} is not that: use a claim without dataSource"
            )
        case claims.ProvisionClaim(request):
            requested = parse(str(claim["spec"]["resources"]["requests"]["storage"])).round_up()
            if requested > size:
                raise AdoptionObstacle(
                    f"claim {key} requests {requested} bytes, and {path} has {size}: request less, or enlarge the "
                    "image (rbd resize)"
                )
            return replace(request, size=size, notation=Notation.BINARY)


def with_features(cls: VolumeClass, image: RbdImage) -> VolumeClass:
    """Returns the class with the features that the image has: the volume passes them to the node plugin."""
    return replace(cls, features=tuple(name for name in image.features if name in FEATURES) or cls.features)
