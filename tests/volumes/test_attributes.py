"""VolumeAttributesClasses: at creation, and when a bound claim requests another one."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.command import Sutler
from tests.volumes.test_limits import limits
from tests.volumes.volume_env import Json, VolumeEnv, claim

pytestmark = pytest.mark.needs(kubernetes="1.34", why="older servers know no VolumeAttributesClass")

LATER = "later"
"""The name of a class that no fixture creates."""


def attributes_class(name: str, driver: str = "rbd.sutler.dev", **parameters: str) -> Json:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttributesClass",
        "metadata": {"name": name},
        "driverName": driver,
        "parameters": parameters,
    }


@pytest.fixture(scope="module", autouse=True)
def classes(control_plane: ControlPlane) -> Iterator[None]:
    objects = [
        attributes_class("gold", maxReadIops="1000", maxReadBps="50Mi"),
        attributes_class("silver", maxReadIops="500"),
        attributes_class("free", maxReadIops="max", maxWriteIops="max"),
        attributes_class("foreign", "rbd.csi.ceph.com", maxReadIops="5"),
        attributes_class("unknown", iops="5"),
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    control_plane.kubectl("create", "-f", "-", input=text)
    yield
    names = [one["metadata"]["name"] for one in objects]
    control_plane.kubectl("delete", "volumeattributesclass", "--ignore-not-found", "--wait=false", *names, LATER)


def with_attributes(name: str, cls: str, attributes: str | None, **spec: Any) -> Json:
    return claim(name, cls, volumeAttributesClassName=attributes, **spec)


def request(env: VolumeEnv, attributes: str | None, name: str = "data") -> None:
    patch = json.dumps({"spec": {"volumeAttributesClassName": attributes}})
    env.kubectl("patch", "pvc", name, "--type=merge", "-p", patch)


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


class AttributesLife:
    """A claim whose attributes change, under a process that may kill itself and is replaced then."""

    def __init__(self, env: VolumeEnv, start: Callable[[str], SutlerProcess], kill: str) -> None:
        self.env = env
        self._start = start
        self.env.process = start(kill)
        self.killed = False

    def run(self, cls: str) -> str:
        """The whole life; the log of the first process comes back."""
        env, first = self.env, self.env.process
        env.apply(with_attributes("data", cls, "gold", size="1Mi", volumeMode="Block"))
        self._until(lambda: env.all_bound(1), "Bound")
        assert limits(env, "data") == {"read_iops": "1000", "write_iops": "8", "read_bps": "52428800"}
        request(env, "silver")
        self._until(lambda: self._current() == ("silver", None), "silver")
        assert limits(env, "data") == {"read_iops": "500", "write_iops": "8"}
        assert env.volume_of("data")["spec"]["volumeAttributesClassName"] == "silver"
        assert len(env.images()) == len(env.volumes()) == 1
        env.delete_claims()
        self._until(lambda: not env.volumes() and not env.claims() and not env.images(), "gone")
        env.process.stop()
        return first.log_text()

    def _current(self) -> tuple[str | None, Any]:
        status = self.env.get("pvc", "data")["status"]
        return status.get("currentVolumeAttributesClassName"), status.get("modifyVolumeStatus")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        def true() -> bool:
            if not self.env.process.process.alive:
                assert not self.killed, self.env.process.log_text()[-2000:]
                self.killed = True
                self.env.process = self._start("0:never")
            return condition()

        wait_for(true, f"the claim to be {what}", 60)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "step", [pytest.param(9, id="every ninth call"), pytest.param(1, id="every call", marks=pytest.mark.long)]
)
def test_killed_at_every_call_the_attributes_are_applied_once(
    step: int,
    control_plane: ControlPlane,
    ceph: Ceph,
    start_killable: Callable[..., SutlerProcess],
    namespace: str,
    pool: str,
) -> None:
    def start(kill: str) -> SutlerProcess:
        return start_killable(kill, "--reconcile-interval=1000")

    env = VolumeEnv(control_plane, ceph, start("0:never"), namespace, pool)
    env.process.stop()
    cls = env.storage_class({"maxWriteIops": "8"})
    whole = AttributesLife(env, start, "0:never").run(cls)
    calls = [line.split(maxsplit=2)[2] for line in whole.splitlines() if line.startswith("point ")]
    assert "ceph replace_metadata" in calls, calls
    reached = 0
    points = range(1, len(calls) + 1)[step - 1 :: step]
    for point in points:
        life = AttributesLife(env, start, f"{point}:before")
        life.run(cls)
        reached += life.killed
    print(f"killed at {reached} points of {', '.join(calls)}")
    assert reached >= len(points) - (3 if step == 1 else 1)
    env.clean_up()


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
