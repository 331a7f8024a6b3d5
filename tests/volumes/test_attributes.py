"""VolumeAttributesClasses: at creation, and when a bound claim requests another one."""

import pytest

from tests.cluster import ControlPlane, wait_for
from tests.volumes.attributes_env import LATER, attributes_class, limits, request, with_attributes
from tests.volumes.command import Sutler
from tests.volumes.volume_env import Json, VolumeEnv, claim

pytestmark = [
    pytest.mark.needs(kubernetes="1.34", why="older servers know no VolumeAttributesClass"),
    pytest.mark.usefixtures("attributes_classes"),
]


def wait_state(env: VolumeEnv, state: str, target: str) -> Json:
    """The claim's status, once modifyVolumeStatus is this."""
    wanted = {"status": state, "targetVolumeAttributesClassName": target}

    def status() -> Json | None:
        found: Json = env.get("pvc", "data")["status"]
        return found if found.get("modifyVolumeStatus") == wanted else None

    return wait_for(status, f"the claim to be {state} for {target}")


def wait_current(env: VolumeEnv, target: str) -> Json:
    """The claim, once it has these attributes and nothing else is requested."""

    def found() -> Json | None:
        one: Json = env.get("pvc", "data")
        status = one["status"]
        settled = status.get("currentVolumeAttributesClassName") == target and "modifyVolumeStatus" not in status
        return one if settled else None

    return wait_for(found, f"the claim to have {target}")


def condition_types(status: Json) -> set[str]:
    return {one["type"] for one in status.get("conditions") or []} - {"Unused"}


def test_new_volume_has_the_attributes_of_its_claim(env: VolumeEnv, control_plane: ControlPlane) -> None:
    cls = env.storage_class({"maxReadIops": "7", "maxWriteIops": "8"})
    env.apply(with_attributes("data", cls, "gold"), with_attributes("free", cls, "free"))
    env.wait_bound(2)
    assert limits(env, "data") == {"read_iops": "1000", "write_iops": "8", "read_bps": "52428800"}
    assert limits(env, "free") == {}
    assert env.volume_of("data")["spec"]["volumeAttributesClassName"] == "gold"
    wait_current(env, "gold")
    shown = Sutler(control_plane.kubeconfig)("volumes", "show", f"{env.namespace}/data").out
    assert "Attributes:     gold\n" in shown
    assert "Limits:         maxReadIops=1000, maxWriteIops=8, maxReadBps=52428800\n" in shown


def test_bound_claim_gets_other_attributes(env: VolumeEnv, control_plane: ControlPlane) -> None:
    cls = env.storage_class({"maxWriteIops": "8"})
    env.apply(claim("data", cls))
    env.wait_bound()
    assert limits(env, "data") == {"write_iops": "8"}
    request(env, "gold")
    wait_current(env, "gold")
    assert limits(env, "data") == {"read_iops": "1000", "write_iops": "8", "read_bps": "52428800"}
    request(env, "silver")
    found = wait_current(env, "silver")
    assert limits(env, "data") == {"read_iops": "500", "write_iops": "8"}
    assert condition_types(found["status"]) == set()
    assert env.volume_of("data")["spec"]["volumeAttributesClassName"] == "silver"
    env.wait_event("data", "VolumeModify", "Applying VolumeAttributesClass silver")
    event = env.wait_event("data", "VolumeModifySuccessful", "limits are maxReadIops=500,maxWriteIops=8")
    assert "this one has none: create claims from a StorageClass with" in event["message"]
    found = Sutler(control_plane.kubeconfig)("volumes", "show", f"{env.namespace}/data", "-o", "json").json
    assert (found["attributesClass"], found["modification"]) == ("silver", None)
    assert found["limits"] == {"maxReadIops": 500, "maxWriteIops": 8}


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("foreign", "has driverName rbd.csi.ceph.com: use one whose driverName is rbd.sutler.dev"),
        ("unknown", "unknown parameter iops: known are maxReadIops"),
    ],
)
def test_attributes_that_can_not_be_applied_are_infeasible(
    env: VolumeEnv, control_plane: ControlPlane, target: str, says: str
) -> None:
    cls = env.storage_class(allowVolumeExpansion=True)
    env.apply(with_attributes("data", cls, "silver", volumeMode="Block"))
    env.wait_bound()
    request(env, target)
    status = wait_state(env, "Infeasible", target)
    assert condition_types(status) == {"ModifyingVolume", "ModifyVolumeError"}
    assert any(says in one.get("message", "") for one in status["conditions"])
    assert env.wait_event("data", "VolumeModifyFailed", says)["type"] == "Warning"
    shown = Sutler(control_plane.kubeconfig)("volumes", "show", f"{env.namespace}/data").out
    assert f"Requested:      {target}: Infeasible\n" in shown
    # All else of the claim is served as before.
    env.kubectl("patch", "pvc", "data", "-p", '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}')
    wait_for(lambda: env.get("pvc", "data")["status"]["capacity"]["storage"] == "2Gi", "the claim to have grown")
    assert limits(env, "data") == {"read_iops": "500"}
    request(env, "silver")
    assert condition_types(wait_current(env, "silver")["status"]) == set()


def test_request_that_is_withdrawn_is_canceled(env: VolumeEnv) -> None:
    env.apply(claim("data", env.storage_class()))
    env.wait_bound()
    request(env, "unknown")
    wait_state(env, "Infeasible", "unknown")
    request(env, None)
    env.wait_event("data", "VolumeModifyCanceled", "requests no attributes")
    assert "ModifyingVolume" not in condition_types(env.get("pvc", "data")["status"])
    assert limits(env, "data") == {}


def test_attributes_class_that_comes_later_is_waited_for(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(claim("data", cls), with_attributes("new", cls, LATER))
    env.wait_event("new", "ProvisioningFailed", f"VolumeAttributesClass {LATER} does not exist: create it")
    wait_for(lambda: env.get("pvc", "data")["status"]["phase"] == "Bound", "the other claim to be Bound")
    request(env, LATER)
    wait_state(env, "Pending", LATER)
    env.wait_event("data", "VolumeModifyFailed", f"VolumeAttributesClass {LATER} does not exist: create it")
    assert len(env.images()) == 1
    env.apply(attributes_class(LATER, maxWriteBps="1Mi"))
    wait_current(env, LATER)
    env.wait_bound(2)
    assert limits(env, "data") == limits(env, "new") == {"write_bps": "1048576"}


def test_new_claim_of_impossible_attributes_is_refused(env: VolumeEnv) -> None:
    env.apply(with_attributes("data", env.storage_class(), "unknown"))
    env.wait_event("data", "ProvisioningFailed", "unknown parameter iops")
    assert env.images() == []


@pytest.mark.needs(kubernetes="1.37", why="older servers do not say whether a claim is in use")
def test_growth_keeps_what_kubernetes_says_of_the_claim(env: VolumeEnv) -> None:
    def conditions() -> dict[str, str]:
        listed = env.get("pvc", "data")["status"].get("conditions") or []
        return {condition["type"]: condition["status"] for condition in listed}

    cls = env.storage_class(allowVolumeExpansion=True)
    env.apply(claim("data", cls))
    env.wait_bound()
    wait_for(lambda: conditions() == {"Unused": "True"}, "the claim to be called unused")
    env.kubectl("patch", "pvc", "data", "-p", '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}')
    wait_for(lambda: "FileSystemResizePending" in conditions(), "the image to have grown")
    assert conditions() == {"Unused": "True", "FileSystemResizePending": "True"}
