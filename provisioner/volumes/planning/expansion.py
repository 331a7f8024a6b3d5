"""Whether a bound claim's volume is to grow: pure."""

from dataclasses import dataclass

from provisioner.volumes.planning.claims import SECTOR
from provisioner.volumes.planning.deletion import is_ours
from provisioner.volumes.planning.persistent_volume import ImageLocation, place_of
from sutler.quantity import QuantityError, of_bytes, parse
from sutler.typedefs import Json

_ALLOCATED = "allocatedResources"


@dataclass(frozen=True, slots=True)
class GrowVolume:
    place: ImageLocation
    size: int
    """Of the image, in bytes."""
    capacity: str
    """What to write: the same, as a quantity."""
    block: bool
    """No filesystem: done when the image has grown."""
    volume_done: bool
    """The PersistentVolume has that capacity already."""
    in_tree: bool = False
    """Kubernetes' own controller completes the claim: it acts on every in-tree volume whose claim asks for more."""


@dataclass(frozen=True, slots=True)
class KeepSize:
    reason: str


@dataclass(frozen=True, slots=True)
class RefuseExpansion:
    message: str


Decision = GrowVolume | KeepSize | RefuseExpansion


def decide(claim: Json, volume: Json) -> Decision:  # noqa: PLR0911 - a decision table, row by row
    """Whether the class allows it was checked by the API server when the claim was changed."""
    spec, status = claim["spec"], claim.get("status") or {}
    reference = volume["spec"].get("claimRef") or {}
    if not is_ours(volume):
        return KeepSize("the volume is not ours")
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
        return RefuseExpansion(f"the requested size can't be made: {error}")
    if size <= granted:
        return KeepSize("it is large enough")
    block = (spec.get("volumeMode") or "Filesystem") == "Block"
    if size <= capacity and not block and waits_for_node(claim):
        return KeepSize("the node has yet to grow the filesystem")
    in_tree = "rbd" in volume["spec"]
    if size <= capacity and in_tree:
        return KeepSize("Kubernetes has yet to complete the claim")
    place = place_of(volume)
    if place is None:
        return RefuseExpansion("the volume has lost its annotation that names the image (pool/image): restore it")
    size = max(size, capacity)
    text = str(of_bytes(size, wanted.notation))
    return GrowVolume(place, size, text, block=block, volume_done=size == capacity, in_tree=in_tree)


def waits_for_node(claim: Json) -> bool:
    return any(condition["type"] == "FileSystemResizePending" for condition in conditions(claim))


def conditions(claim: Json) -> list[Json]:
    return (claim.get("status") or {}).get("conditions") or []


def resizing(claim: Json, now: str) -> Json:
    """The claim's status while its image grows, as a merge patch."""
    return {"status": {"conditions": [*_others(claim), _condition("Resizing", "", now)]}}


def resized(claim: Json, grow: GrowVolume, now: str) -> Json:
    """The claim's status when the image has grown: the kubelet does the rest for a filesystem.

    Where csi-resizer has once grown the volume, `allocatedResources` is there. A kubelet then grows the filesystem only
    if the size and the status beside it say that it is to.
    """
    allocated = _ALLOCATED in (claim.get("status") or {})
    if grow.block:
        done: Json = {"conditions": _others(claim), "capacity": {"storage": grow.capacity}}
        return {"status": done | (_allocated(grow, None) if allocated else {})}
    message = "Waiting for the node to grow the filesystem, when a Pod that uses the claim is started or running there."
    pending: Json = {"conditions": [*_others(claim), _condition("FileSystemResizePending", message, now)]}
    return {"status": pending | (_allocated(grow, "NodeResizePending") if allocated else {})}


def _allocated(grow: GrowVolume, status: str | None) -> Json:
    return {_ALLOCATED: {"storage": grow.capacity}, "allocatedResourceStatuses": {"storage": status}}


def _others(claim: Json) -> list[Json]:
    return [c for c in conditions(claim) if c["type"] not in {"Resizing", "FileSystemResizePending"}]


def _condition(kind: str, message: str, now: str) -> Json:
    return {"type": kind, "status": "True", "message": message, "lastProbeTime": None, "lastTransitionTime": now}
