"""The parts of watched objects that are kept in memory. Pure: no I/O.

Ten thousand objects of each kind must fit into little memory.
"""

from dataclasses import dataclass
from typing import NamedTuple

from provisioner.volumes.planning import modification
from provisioner.volumes.planning.data_source import parse_data_source
from provisioner.volumes.planning.flattening import flattens
from provisioner.volumes.planning.modification import KeepAttributes
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from provisioner.volumes.planning.storage_class import ClassError, VolumeClass, parse_class
from sutler import well_known
from sutler.typedefs import Json
from sutler.volumes.adoption_request import claim_key
from sutler.volumes.locations import ImageLocation, ids_of, is_sutler_volume, location_of, owner_of
from sutler.volumes.served_classes import class_of, is_sutler_class, unclear_annotation
from sutler.volumes.snapshot_keys import CLAIM_IN_USE
from sutler.volumes.volume_name import volume_name


@dataclass(frozen=True, slots=True)
class CachedClass:
    uid: str
    served: bool
    """Whether the class is Sutler's."""
    parsed: VolumeClass | None = None
    problem: str | None = None
    """What is wrong with a class that Sutler serves, or that seems to be meant for Sutler."""


@dataclass(frozen=True, slots=True)
class CachedClaim:
    uid: str
    storage_class: str
    volume: str
    """spec.volumeName"""
    deleting: bool
    has_node: bool
    """Whether the scheduler has selected a node."""
    requests_resize: bool
    """Whether the claim is bound and requests another size than it has."""
    requests_modify: bool = False
    """Whether the claim is bound and its VolumeAttributesClass has to be applied."""
    source: str = ""
    """kind/namespace/name of the object that the claim is created from, while it has no volume."""
    protected: bool = False
    """Whether the claim has the finalizer that protects it while it is cloned."""

    @property
    def volume_key(self) -> str:
        """The name of the volume that the claim has, or would get."""
        return self.volume or volume_name(self.uid)


@dataclass(frozen=True, slots=True)
class CachedVolume:
    """A PersistentVolume of Sutler's, or a request for an adoption."""

    owner: str
    """UID of the claim that the volume was provisioned for."""
    location: ImageLocation | None
    storage_class: str
    awaits_deletion: bool
    """Whether the volume is Released and to be deleted, or is being deleted and has Sutler's finalizer."""
    adopting_claim: str = ""
    """For a request for an adoption: namespace/name of its claim. Empty for a volume."""
    pool_id: int | None = None
    image_id: str = ""
    """Both ids are unknown for a volume of version 0.1.0 until Sutler upgrades it."""
    rebound_claim: tuple[str, str] | None = None
    """Namespace and name of the present claim, if the volume was provisioned for another one."""
    flattens: bool = False
    """Whether the volume's image is a clone that is to be flattened."""

    @property
    def request(self) -> VolumeRequest:
        location = self.location or ImageLocation("", "", "", "")
        return VolumeRequest(location, self.owner, self.pool_id, self.image_id)


class CachedAttachment(NamedTuple):
    name: str
    volume: str
    """Name of the PersistentVolume that is attached; empty for an inline volume."""
    node: str


def class_entry(obj: Json) -> CachedClass:
    uid = obj["metadata"]["uid"]
    if not is_sutler_class(obj):
        return CachedClass(uid, served=False, problem=unclear_annotation(obj) or None)
    try:
        return CachedClass(uid, served=True, parsed=parse_class(obj))
    except ClassError as error:
        return CachedClass(uid, served=True, problem=str(error))


def claim_entry(obj: Json) -> CachedClaim:
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    requested = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    bound = status.get("phase") == "Bound"
    source = parse_data_source(obj) if not spec.get("volumeName") else None
    return CachedClaim(
        uid=metadata["uid"],
        storage_class=class_of(obj),
        volume=spec.get("volumeName") or "",
        deleting="deletionTimestamp" in metadata,
        has_node=bool((metadata.get("annotations") or {}).get(well_known.SELECTED_NODE)),
        requests_resize=bound and (status.get("capacity") or {}).get("storage") != requested,
        requests_modify=bound and not isinstance(modification.decide_by_claim(obj), KeepAttributes),
        source=source.key if source is not None else "",
        protected=CLAIM_IN_USE in (metadata.get("finalizers") or []),
    )


def volume_entry(obj: Json) -> CachedVolume | None:
    """Returns None for a volume that is neither Sutler's nor a request for an adoption."""
    if not is_sutler_volume(obj):
        key = claim_key(obj)
        return CachedVolume("", None, "", awaits_deletion=False, adopting_claim=key) if key else None
    spec, status = obj["spec"], obj.get("status") or {}
    deleting = "deletionTimestamp" in obj["metadata"]
    has_finalizer = well_known.FINALIZER in (obj["metadata"].get("finalizers") or [])
    released = status.get("phase") == "Released" and spec.get("persistentVolumeReclaimPolicy") == "Delete"
    owner, reference = owner_of(obj), spec.get("claimRef") or {}
    is_rebound = status.get("phase") == "Bound" and reference.get("uid") != owner
    pool_id, image_id = ids_of(obj)
    return CachedVolume(
        owner=owner,
        location=location_of(obj),
        storage_class=spec.get("storageClassName", ""),
        awaits_deletion=has_finalizer if deleting else released,
        pool_id=pool_id,
        image_id=image_id,
        rebound_claim=(reference["namespace"], reference["name"]) if is_rebound else None,
        flattens=flattens(obj),
    )


def attachment_entry(obj: Json) -> CachedAttachment:
    volume = (obj["spec"].get("source") or {}).get("persistentVolumeName") or ""
    return CachedAttachment(obj["metadata"]["name"], str(volume), str(obj["spec"].get("nodeName") or ""))
