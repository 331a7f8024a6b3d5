"""Decides whether to change a bound claim's attributes, and what its status says of it. Pure: no I/O.

The status, conditions and reasons are those that csi-resizer writes.
"""

from dataclasses import dataclass

from provisioner.volumes.planning.attributes_class import VolumeAttributes, effective_limits, unlimitable
from sutler import well_known
from sutler.typedefs import Json
from sutler.volumes.limits import parse_limits, render_limits
from sutler.volumes.locations import is_sutler_volume

PENDING, IN_PROGRESS, INFEASIBLE = "Pending", "InProgress", "Infeasible"
"""States of status.modifyVolumeStatus."""
MODIFYING, ERROR = "ModifyingVolume", "ModifyVolumeError"
"""Types of conditions."""


@dataclass(frozen=True, slots=True)
class ModifyVolume:
    target: str
    """The name of the VolumeAttributesClass."""


@dataclass(frozen=True, slots=True)
class CancelModification:
    """The claim requests no attributes any more, and those before were not applied."""


@dataclass(frozen=True, slots=True)
class KeepAttributes:
    reason: str


Decision = ModifyVolume | CancelModification | KeepAttributes


def decide(claim: Json, volume: Json) -> Decision:
    reference = volume["spec"].get("claimRef") or {}
    if not is_sutler_volume(volume):
        return KeepAttributes("the volume is not Sutler's")
    if reference.get("uid") != claim["metadata"]["uid"]:
        return KeepAttributes("the claim is not bound to this volume")
    if claim["metadata"].get("deletionTimestamp") or volume["metadata"].get("deletionTimestamp"):
        return KeepAttributes("it is being deleted")
    return decide_by_claim(claim)


def decide_by_claim(claim: Json) -> Decision:
    """Decides as far as the claim alone shows it."""
    status = claim.get("status") or {}
    requested = claim["spec"].get("volumeAttributesClassName") or ""
    state = modify_status(claim)
    if status.get("phase") != "Bound":
        return KeepAttributes("the claim is not bound")
    if not state and requested == (status.get("currentVolumeAttributesClassName") or ""):
        return KeepAttributes("it has the attributes")
    if requested:
        return ModifyVolume(requested)
    target = state.get("targetVolumeAttributesClassName") or ""
    if state.get("status") == IN_PROGRESS and target:
        # Some of the attributes may have been applied: their outcome must become known.
        return ModifyVolume(target)
    if any(condition["type"] == MODIFYING for condition in _conditions(claim)):
        return CancelModification()
    return KeepAttributes("it requests no attributes")


def modify_status(claim: Json) -> Json:
    """Returns status.modifyVolumeStatus; empty if there is none."""
    return (claim.get("status") or {}).get("modifyVolumeStatus") or {}


def is_in_progress(claim: Json, target: str) -> bool:
    """Whether the claim's status says already that this target is being applied."""
    return modify_status(claim) == {"status": IN_PROGRESS, "targetVolumeAttributesClassName": target}


def unservable(volume: Json) -> str:
    """Returns why the volume can't have limits; empty: it can."""
    spec = volume["spec"]
    options = (spec.get("csi") or {}).get("volumeAttributes") or {}
    problem = unlimitable("csi" if spec.get("csi") else "rbd", options)
    return f"the volume has {problem}" if problem else ""


def pending_status(target: str) -> Json:
    """Returns the claim's status while the VolumeAttributesClass does not exist, as a merge patch; so do the others."""
    return {"status": {"modifyVolumeStatus": {"status": PENDING, "targetVolumeAttributesClassName": target}}}


def in_progress_status(claim: Json, target: str, now: str) -> Json:
    return _status(claim, IN_PROGRESS, target, [_modifying(f'Modifying volume to "{target}" is in progress.', now)])


def failed_status(claim: Json, target: str, reason: str, message: str, now: str) -> Json:
    """The attempt has failed, and Sutler tries again. `reason`: CamelCase."""
    modifying = _modifying(f'Modifying volume to "{target}" is still in progress.', now)
    return _status(claim, IN_PROGRESS, target, [modifying, _condition(ERROR, reason, message, now)])


def infeasible_status(claim: Json, target: str, message: str, now: str) -> Json:
    modifying = _modifying(f'Modifying volume to "{target}" failed. Waiting for retry.', now)
    return _status(claim, INFEASIBLE, target, [modifying, _condition(ERROR, "InvalidArgument", message, now)])


def modified_status(claim: Json, target: str) -> Json:
    return {
        "status": {
            "currentVolumeAttributesClassName": target,
            "modifyVolumeStatus": None,
            "conditions": _others(claim, MODIFYING, ERROR),
        }
    }


def canceled_status(claim: Json) -> Json:
    """As with csi-resizer, modifyVolumeStatus keeps the result of the last modification."""
    return {"status": {"conditions": _others(claim, MODIFYING)}}


def is_reported(claim: Json, patch: Json) -> bool:
    """Whether the claim's status says what the patch would make it say, except for times."""
    wanted = patch["status"]
    conditions = wanted.get("conditions", _conditions(claim))
    return modify_status(claim) == wanted["modifyVolumeStatus"] and _texts(conditions) == _texts(_conditions(claim))


def volume_limits_after(volume: Json, attributes: VolumeAttributes) -> dict[str, int]:
    """Returns the limits that the volume has with these attributes."""
    annotations = volume["metadata"].get("annotations") or {}
    return effective_limits(parse_limits(annotations.get(well_known.CLASS_LIMITS, "")), attributes.limits)


def volume_patch(volume: Json, attributes: VolumeAttributes) -> Json:
    """Returns the PersistentVolume's change after the limits were set, as a merge patch."""
    limits = render_limits(volume_limits_after(volume, attributes))
    return {
        "metadata": {
            "resourceVersion": volume["metadata"]["resourceVersion"],
            "annotations": {well_known.LIMITS: limits or None},
        },
        "spec": {"volumeAttributesClassName": attributes.name},
    }


def node_hint(volume: Json) -> str:
    """Returns what is missing before nodes apply limits to the volume; empty: nothing."""
    if (volume["spec"].get("csi") or {}).get("nodePublishSecretRef"):
        return ""
    return (
        ". Nodes apply them only to volumes with a nodePublishSecretRef, and this one has none: create claims from a "
        "StorageClass with csi.storage.k8s.io/node-publish-secret-name and -namespace"
    )


def _status(claim: Json, state: str, target: str, conditions: list[Json]) -> Json:
    return {
        "status": {
            "modifyVolumeStatus": {"status": state, "targetVolumeAttributesClassName": target},
            "conditions": [*_others(claim, MODIFYING, ERROR), *conditions],
        }
    }


def _modifying(message: str, now: str) -> Json:
    return _condition(MODIFYING, None, message, now)


def _condition(kind: str, reason: str | None, message: str, now: str) -> Json:
    named = {"reason": reason} if reason else {}
    return {"type": kind, "status": "True", **named, "message": message, "lastProbeTime": now,
            "lastTransitionTime": now}  # fmt: skip


def _conditions(claim: Json) -> list[Json]:
    return (claim.get("status") or {}).get("conditions") or []


def _others(claim: Json, *types: str) -> list[Json]:
    return [condition for condition in _conditions(claim) if condition["type"] not in types]


def _texts(conditions: list[Json]) -> set[tuple[str, str, str]]:
    return {(one["type"], one.get("reason", ""), one.get("message", "")) for one in conditions}
