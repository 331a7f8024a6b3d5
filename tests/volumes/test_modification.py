"""What follows from a claim's VolumeAttributesClass, by name of the case, and what the status says of it."""

from typing import Any

import pytest

from provisioner.volumes.planning import modification
from provisioner.volumes.planning.attributes_class import VolumeAttributes
from provisioner.volumes.planning.modification import CancelModification, KeepAttributes, ModifyVolume, decide
from tests.volumes.objects import claim, volume

NOW = "2030-01-01T00:00:00Z"
BEFORE = "2029-01-01T00:00:00Z"
UNUSED = {"type": "Unused", "status": "True"}
MODIFYING = {"type": "ModifyingVolume", "status": "True", "message": "m", "lastProbeTime": BEFORE}
CSI: Any = {"csi": {"driver": "rbd.csi.ceph.com", "volumeAttributes": {"staticVolume": "true"}}}


def bound(requested: str | None, current: str | None = None, *conditions: Any, **state: str) -> Any:
    status: dict[str, Any] = {"phase": "Bound", "currentVolumeAttributesClassName": current}
    if state:
        status["modifyVolumeStatus"] = state
    return claim(status=status | {"conditions": list(conditions)}, volumeAttributesClassName=requested)


def state(status: str, target: str) -> dict[str, str]:
    return {"status": status, "targetVolumeAttributesClassName": target}


@pytest.mark.parametrize(
    ("case", "obj", "decision"),
    [
        ("first attributes", bound("gold"), ModifyVolume("gold")),
        ("others", bound("gold", "silver"), ModifyVolume("gold")),
        ("interrupted", bound("gold", "silver", **state("InProgress", "gold")), ModifyVolume("gold")),
        ("changed meanwhile", bound("iron", "silver", **state("InProgress", "gold")), ModifyVolume("iron")),
        ("back to the present ones", bound("silver", "silver", **state("Infeasible", "gold")), ModifyVolume("silver")),
        ("class did not exist", bound("gold", None, **state("Pending", "gold")), ModifyVolume("gold")),
        ("removed during an attempt", bound(None, None, MODIFYING, **state("InProgress", "gold")),
         ModifyVolume("gold")),
        ("removed after a refusal", bound(None, None, MODIFYING, **state("Infeasible", "gold")), CancelModification()),
        ("removed by an empty name", bound("", None, MODIFYING, **state("Infeasible", "gold")), CancelModification()),
    ],
)  # fmt: skip
def test_claim_is_modified(case: str, obj: Any, decision: modification.Decision) -> None:
    assert decide(obj, volume(phase="Bound")) == decision, case
    assert modification.decide_by_claim(obj) == decision, case


@pytest.mark.parametrize(
    ("case", "obj", "vol"),
    [
        ("none", bound(None), volume()),
        ("an empty name", bound(""), volume()),
        ("has them", bound("gold", "gold"), volume()),
        ("removed, and nothing remains", bound(None, None, **state("Infeasible", "gold")), volume()),
        ("removed before it was found", bound(None, None, **state("Pending", "gold")), volume()),
        ("not bound", claim(volumeAttributesClassName="gold"), volume()),
        ("another volume", bound("gold"), volume(claimRef={"uid": "other"})),
        ("another provisioner's", bound("gold"), volume(annotations={"pv.kubernetes.io/provisioned-by": "x"})),
        ("volume is being deleted", bound("gold"), volume(metadata={
            "name": "v", "deletionTimestamp": NOW, "annotations": volume()["metadata"]["annotations"]})),
    ],
)  # fmt: skip
def test_claim_keeps_its_attributes(case: str, obj: Any, vol: Any) -> None:
    assert isinstance(decide(obj, vol), KeepAttributes), case


def test_status_says_what_csi_resizer_would_say() -> None:
    obj = bound("gold", "silver", UNUSED, MODIFYING)
    pending = modification.pending_status("gold")
    assert pending == {"status": {"modifyVolumeStatus": state("Pending", "gold")}}
    running = modification.in_progress_status(obj, "gold", NOW)["status"]
    assert running["modifyVolumeStatus"] == state("InProgress", "gold")
    assert [(one["type"], one.get("message", "")) for one in running["conditions"]] == [
        ("Unused", ""),
        ("ModifyingVolume", 'Modifying volume to "gold" is in progress.'),
    ]
    infeasible = modification.infeasible_status(obj, "gold", "unknown parameter", NOW)["status"]
    assert infeasible["modifyVolumeStatus"] == state("Infeasible", "gold")
    assert infeasible["conditions"][2] == {
        "type": "ModifyVolumeError", "status": "True", "reason": "InvalidArgument", "message": "unknown parameter",
        "lastProbeTime": NOW, "lastTransitionTime": NOW,
    }  # fmt: skip
    failed = modification.failed_status(obj, "gold", "OutcomeUnknown", "no answer", NOW)["status"]
    assert failed["modifyVolumeStatus"] == state("InProgress", "gold")
    assert [one.get("reason") for one in failed["conditions"]] == [None, None, "OutcomeUnknown"]
    assert modification.modified_status(obj, "gold") == {
        "status": {
            "currentVolumeAttributesClassName": "gold", "modifyVolumeStatus": None, "conditions": [UNUSED]
        }
    }  # fmt: skip
    assert modification.canceled_status(obj) == {"status": {"conditions": [UNUSED]}}


def test_status_is_written_once() -> None:
    obj = bound("gold")
    for patch in (
        modification.pending_status("gold"),
        modification.infeasible_status(obj, "gold", "no", BEFORE),
        modification.failed_status(obj, "gold", "InUse", "busy", BEFORE),
    ):
        assert not modification.is_reported(obj, patch)
        done = obj | {"status": obj["status"] | patch["status"]}
        # Kubernetes adds its own conditions, and the time passes.
        done["status"]["conditions"] = [*done["status"]["conditions"][::-1], UNUSED]
        again = {"status": dict(patch["status"])}
        if "conditions" in again["status"]:
            again["status"]["conditions"] = [UNUSED, *patch["status"]["conditions"]]
        assert modification.is_reported(done, again)


def test_volume_gets_the_limits_of_class_and_attributes() -> None:
    vol = volume(annotations={"sutler.dev/class-limits": "maxReadIops=5,maxReadBps=7"})
    vol["metadata"]["resourceVersion"] = "3"
    gold = VolumeAttributes("gold", {"maxReadIops": 9})
    assert modification.volume_limits_after(vol, gold) == {"maxReadIops": 9, "maxReadBps": 7}
    assert modification.volume_patch(vol, gold) == {
        "metadata": {"resourceVersion": "3", "annotations": {"sutler.dev/limits": "maxReadIops=9,maxReadBps=7"}},
        "spec": {"volumeAttributesClassName": "gold"},
    }
    free = VolumeAttributes("free", {"maxReadIops": None, "maxReadBps": None})
    assert modification.volume_patch(vol, free)["metadata"]["annotations"] == {"sutler.dev/limits": None}


def test_volume_that_nodes_can_not_limit_is_named() -> None:
    assert modification.unservable(volume(**CSI)) == ""
    nbd: Any = {"csi": {"volumeAttributes": {"mounter": "rbd-nbd"}}}
    assert "mounter rbd-nbd" in modification.unservable(volume(**nbd))
    assert "volumeSource rbd" in modification.unservable(volume(rbd={}))
    assert "node-publish-secret-name" in modification.node_hint(volume(**CSI))
    assert modification.node_hint(volume(csi={"nodePublishSecretRef": {"name": "s"}})) == ""
