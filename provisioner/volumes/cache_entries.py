"""What is remembered of the objects that we watch: pure. Ten thousand of each must fit into little memory."""

from dataclasses import dataclass
from typing import NamedTuple

from provisioner.volumes.planning import deletion
from provisioner.volumes.planning.claims import class_of
from provisioner.volumes.planning.persistent_volume import ImageLocation, VolumeRequest, ids_of, owner_of, place_of
from provisioner.volumes.planning.storage_class import ClassError, VolumeClass, parse_class
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.adoption_request import claim_key
from sutler.volumes.storage_class import is_ours, unclear_annotation


@dataclass(frozen=True, slots=True)
class CachedClass:
    uid: str
    ours: bool
    parsed: VolumeClass | None = None
    problem: str | None = None
    """What is wrong with a class of ours, or with one that seems to be meant for us."""


@dataclass(frozen=True, slots=True)
class CachedClaim:
    uid: str
    storage_class: str
    volume: str
    """spec.volumeName"""
    deleting: bool
    placed: bool
    """The scheduler has selected a node."""
    grows: bool
    """Asks for another size than it has."""
    modifies: bool = False
    """Asks for attributes (VolumeAttributesClass) that its volume has not."""

    @property
    def key(self) -> str:
        """The volume that it has, or the one that it would get."""
        return self.volume or well_known.volume_name(self.uid)


@dataclass(frozen=True, slots=True)
class CachedVolume:
    """Of a volume of ours."""

    owner: str
    """UID of the claim that it was made for."""
    place: ImageLocation | None
    storage_class: str
    ends: bool
    """Released and to be deleted, or being deleted and held by us: somebody has to look."""
    adopts: str = ""
    """namespace/name of the claim that this asks an image to be adopted for; empty: it is a volume."""
    pool_id: int | None = None
    image_id: str = ""
    """Neither is known for a volume that version 0.1.0 has made, until it is looked at."""
    bound_again: tuple[str, str] | None = None
    """Namespace and name of the claim that has it now, if that is not the one that it was made for."""


def wanted_of(view: CachedVolume) -> VolumeRequest:
    return VolumeRequest(view.place or ImageLocation("", "", "", ""), view.owner, view.pool_id, view.image_id)


class CachedAttachment(NamedTuple):
    name: str
    volume: str
    """The PersistentVolume that is attached; empty for an inline volume."""
    node: str


def view_class(obj: Json) -> CachedClass:
    uid = obj["metadata"]["uid"]
    if not is_ours(obj):
        return CachedClass(uid, ours=False, problem=unclear_annotation(obj) or None)
    try:
        return CachedClass(uid, ours=True, parsed=parse_class(obj))
    except ClassError as error:
        return CachedClass(uid, ours=True, problem=str(error))


def view_claim(obj: Json) -> CachedClaim:
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    bound = status.get("phase") == "Bound"
    return CachedClaim(
        uid=metadata["uid"],
        storage_class=class_of(obj),
        volume=spec.get("volumeName") or "",
        deleting="deletionTimestamp" in metadata,
        placed=bool((metadata.get("annotations") or {}).get(well_known.SELECTED_NODE)),
        grows=bound and (status.get("capacity") or {}).get("storage") != wanted,
        modifies=bound
        and spec.get("volumeAttributesClassName") not in {None, "", status.get("currentVolumeAttributesClassName")},
    )


def view_volume(obj: Json) -> CachedVolume | None:
    """None for a volume that is not ours."""
    if not deletion.is_ours(obj):
        key = claim_key(obj)
        return CachedVolume("", None, "", ends=False, adopts=key) if key else None
    spec, status = obj["spec"], obj.get("status") or {}
    leaving = "deletionTimestamp" in obj["metadata"]
    held = well_known.FINALIZER in (obj["metadata"].get("finalizers") or [])
    policy = spec.get("persistentVolumeReclaimPolicy")
    owner, reference = owner_of(obj), spec.get("claimRef") or {}
    bound_again = status.get("phase") == "Bound" and reference.get("uid") != owner
    pool_id, image_id = ids_of(obj)
    return CachedVolume(
        owner=owner,
        place=place_of(obj),
        storage_class=spec.get("storageClassName", ""),
        ends=held if leaving else status.get("phase") == "Released" and policy == "Delete",
        pool_id=pool_id,
        image_id=image_id,
        bound_again=(reference["namespace"], reference["name"]) if bound_again else None,
    )


def view_attachment(obj: Json) -> CachedAttachment:
    volume = (obj["spec"].get("source") or {}).get("persistentVolumeName") or ""
    return CachedAttachment(obj["metadata"]["name"], str(volume), str(obj["spec"].get("nodeName") or ""))
