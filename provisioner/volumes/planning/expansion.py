"""Decides whether to resize a bound claim's volume. Pure: no I/O."""

from dataclasses import dataclass

from provisioner.ceph.model import SECTOR
from sutler import well_known
from sutler.quantity import QuantityError, of_bytes, parse
from sutler.typedefs import Json
from sutler.volumes.locations import ImageLocation, is_sutler_volume, location_of

_ALLOCATED = "allocatedResources"


@dataclass(frozen=True, slots=True)
class GrowVolume:
    location: ImageLocation
    size: int
    """The image's new size in bytes."""
    capacity: str
    """The same size as a quantity, for the volume and the claim."""
    block: bool
    """volumeMode Block: the claim is complete as soon as the image has its new size."""
    volume_done: bool
    """Whether the PersistentVolume has that capacity already."""
    in_tree: bool = False
    """volumeSource rbd: Kubernetes' own controller completes the claim, as for all in-tree volumes."""


@dataclass(frozen=True, slots=True)
class KeepSize:
    reason: str


@dataclass(frozen=True, slots=True)
class RefuseExpansion:
    message: str


Decision = GrowVolume | KeepSize | RefuseExpansion


def decide(claim: Json, volume: Json) -> Decision:  # noqa: PLR0911 - a decision table, row by row
    """Decides by the objects alone: the API server has checked the class when the claim was changed."""
    spec, status = claim["spec"], claim.get("status") or {}
    reference = volume["spec"].get("claimRef") or {}
    if not is_sutler_volume(volume):
        return KeepSize("the volume is not Sutler's")
    if status.get("phase") != "Bound" or reference.get("uid") != claim["metadata"]["uid"]:
        return KeepSize("the claim is not bound to this volume")
    if claim["metadata"].get("deletionTimestamp") or volume["metadata"].get("deletionTimestamp"):
        return KeepSize("it is being deleted")
    try:
        wanted = parse(spec["resources"]["requests"]["storage"])
        size = wanted.round_up(SECTOR)
        granted = parse((status.get("capacity") or {}).get("storage", "0")).round_up()
        capacity = parse(volume["spec"]["capacity"]["storage"]).round_up()
    except QuantityError as error:
        return RefuseExpansion(f"the requested size can't be provisioned: {error}")
    if size <= granted:
        return KeepSize("it is large enough")
    block = (spec.get("volumeMode") or "Filesystem") == "Block"
    if size <= capacity and not block and is_waiting_for_node(claim):
        return KeepSize("the node has not resized the filesystem yet")
    in_tree = "rbd" in volume["spec"]
    if size <= capacity and in_tree:
        return KeepSize("Kubernetes has not completed the claim yet")
    location = location_of(volume)
    if location is None:
        return RefuseExpansion(f"the volume lacks annotation {well_known.IMAGE} (pool/image): restore it")
    size = max(size, capacity)
    text = str(of_bytes(size, wanted.notation))
    return GrowVolume(location, size, text, block=block, volume_done=size == capacity, in_tree=in_tree)


def is_waiting_for_node(claim: Json) -> bool:
    return any(condition["type"] == "FileSystemResizePending" for condition in conditions(claim))


def conditions(claim: Json) -> list[Json]:
    return (claim.get("status") or {}).get("conditions") or []


def resizing_status(claim: Json, now: str) -> Json:
    """Returns the claim's status while its image is resized, as a merge patch."""
    return {"status": {"conditions": [*_others(claim), _condition("Resizing", "", now)]}}


def resized_status(claim: Json, grow: GrowVolume, now: str) -> Json:
    """Returns the claim's status when the image has its new size, as a merge patch; the kubelet resizes filesystems.

    If csi-resizer has ever resized the volume, the claim has `allocatedResources`. Then the kubelet resizes the
    filesystem only if that size and `allocatedResourceStatuses` require it.
    """
    allocated = _ALLOCATED in (claim.get("status") or {})
    if grow.block:
        done: Json = {"conditions": _others(claim), "capacity": {"storage": grow.capacity}}
        return {"status": done | (_allocated(grow, None) if allocated else {})}
    message = "Waiting for the node to resize the filesystem, which it does while a Pod uses the claim there."
    pending: Json = {"conditions": [*_others(claim), _condition("FileSystemResizePending", message, now)]}
    return {"status": pending | (_allocated(grow, "NodeResizePending") if allocated else {})}


def _allocated(grow: GrowVolume, status: str | None) -> Json:
    return {_ALLOCATED: {"storage": grow.capacity}, "allocatedResourceStatuses": {"storage": status}}


def _others(claim: Json) -> list[Json]:
    return [c for c in conditions(claim) if c["type"] not in {"Resizing", "FileSystemResizePending"}]


def _condition(kind: str, message: str, now: str) -> Json:
    return {"type": kind, "status": "True", "message": message, "lastProbeTime": None, "lastTransitionTime": now}
