"""The fixes of `sutler doctor`, run in a real shell against a real API server."""

import json
import subprocess
from typing import Any

import pytest

from tests.cli.conftest import Sutler
from tests.cluster import ControlPlane

Json = dict[str, Any]

NAME = "kubernetes.io/metadata.name"
DENIED = "rpc error: code = Unknown desc = failed to pull: unexpected status: 401 Unauthorized"


def selectors(namespace: str) -> dict[str, Json]:
    """Which a namespace labelled team=a, tier=test has to change for, or they for it; by name of a mapping."""
    return {
        "in": {"matchLabels": {"team": "a", "use": "web"}},
        "in-other": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["prod", "live"]}]},
        "exists": {"matchExpressions": [{"key": "billed", "operator": "Exists"}]},
        "not-in": {"matchExpressions": [{"key": "shared", "operator": "NotIn", "values": ["no"]}]},
        "not-there": {"matchExpressions": [{"key": "retired", "operator": "DoesNotExist"}]},
        "name": {"matchLabels": {NAME: "another", "team": "a"}},
        "names": {"matchExpressions": [{"key": NAME, "operator": "In", "values": ["one", "two"]}]},
        "not-name": {"matchExpressions": [{"key": NAME, "operator": "NotIn", "values": [namespace, "another"]}]},
        "never": {"matchExpressions": [{"key": NAME, "operator": "NotIn", "values": [namespace]}]},
        "name-and-label": {
            "matchLabels": {NAME: "another", "zone": "north"},
            "matchExpressions": [{"key": "team", "operator": "Exists"}],
        },
    }


def apply(control_plane: ControlPlane, *objects: Json) -> None:
    control_plane.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def mapping(name: str, **spec: Any) -> Json:
    spec = {"registries": [f"{name}.example.com"], "pullSecret": {"name": name}, "namespaceSelector": {}, **spec}
    return {"apiVersion": "sutler.dev/v1alpha1", "kind": "RegistryMapping", "metadata": {"name": name}, "spec": spec}


def pod_that_waits(control_plane: ControlPlane, namespace: str, *images: str, account: str = "default") -> None:
    """No kubelet is there: what it would say is written into the status."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    spec = {"containers": containers, "serviceAccountName": account, "automountServiceAccountToken": False}
    metadata = {"name": f"web-{account}", "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    made = control_plane.kubectl_json("create", "-f", "-", input=json.dumps(pod))
    waiting = {"waiting": {"reason": "ErrImagePull", "message": DENIED}}
    common = {"state": waiting, "ready": False, "restartCount": 0, "imageID": ""}
    made["status"] = {"phase": "Pending", "containerStatuses": [{**each, **common} for each in containers]}
    path = f"/api/v1/namespaces/{namespace}/pods/{metadata['name']}/status"
    control_plane.kubectl("replace", "--raw", path, "-f", "-", input=json.dumps(made))


def failing_pods(sutler: Sutler, namespace: str) -> list[Json]:
    found: list[Json] = sutler("doctor", "-n", namespace, "-o", "json").json
    return [each for each in found if each["what"].startswith("Pod ")]


def run_all(sutler: Sutler, *lines: str) -> None:
    for line in lines:
        subprocess.run(["bash", "-euc", line], env=sutler.environ, check=True, capture_output=True, timeout=60)


def test_every_mapping_that_does_not_select_a_namespace_can_be_made_to(
    sutler: Sutler, control_plane: ControlPlane, team: str
) -> None:
    # The name's label comes by itself since Kubernetes 1.21.
    control_plane.kubectl("label", "namespace", team, "tier=test", "shared=no", "retired=yes", f"{NAME}={team}")
    known = selectors(team)
    apply(control_plane, *(mapping(name, namespaceSelector=selector) for name, selector in known.items()))
    pod_that_waits(control_plane, team, *(f"{name}.example.com/app" for name in known))
    before = failing_pods(sutler, team)
    assert len(before) == len(known)
    for found in before:
        assert f"does not select namespace {team}" in found["why"]
        *fixes, recreate = found["fix"]
        assert "kubectl replace --force" in recreate
        run_all(sutler, *fixes)
    after = failing_pods(sutler, team)
    assert len(after) == len(known)
    for found in after:
        assert "lacks pull secret" in found["why"], "now only the Pod is too old"
    # And no namespace is excluded that was selected.
    assert control_plane.kubectl_json("get", "regmap", "names")["spec"]["namespaceSelector"]["matchExpressions"] == [
        {"key": NAME, "operator": "In", "values": sorted(["one", "two", team])}
    ]


def test_namespace_without_the_label_of_its_name_gets_it(
    sutler: Sutler, control_plane: ControlPlane, team: str
) -> None:
    """As on Kubernetes 1.20, whose administrators see that too late."""
    control_plane.kubectl("label", "namespace", team, f"{NAME}-")
    if NAME in control_plane.kubectl_json("get", "namespace", team)["metadata"]["labels"]:
        pytest.skip("this Kubernetes does not let the label go")
    apply(control_plane, mapping("acme", namespaceSelector={"matchLabels": {NAME: team}}))
    pod_that_waits(control_plane, team, "acme.example.com/app")
    (found,) = failing_pods(sutler, team)
    assert len(found["fix"]) == 2
    run_all(sutler, found["fix"][0])
    (found,) = failing_pods(sutler, team)
    assert "lacks pull secret" in found["why"]


def test_mapping_that_only_observes_and_account_that_rejects_can_be_changed(
    sutler: Sutler, control_plane: ControlPlane, team: str
) -> None:
    annotations = {"kubernetes.io/enforce-mountable-secrets": "true"}
    metadata = {"name": "strict", "namespace": team, "annotations": annotations}
    strict = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "imagePullSecrets": [{"name": "own"}]}
    login = ("--docker-server=elsewhere.example.com", "--docker-username=UserName", "--docker-password=hunter2")
    control_plane.kubectl("create", "secret", "docker-registry", "own", "-n", team, *login)
    apply(control_plane, strict, mapping("watched", mode="Observe"), mapping("acme"))
    pod_that_waits(control_plane, team, "watched.example.com/app")
    pod_that_waits(control_plane, team, "acme.example.com/app", account="strict")
    before = {found["what"]: found for found in failing_pods(sutler, team)}
    assert "its mode is Observe" in before[f"Pod {team}/web-default"]["why"]
    assert "ServiceAccount strict rejects" in before[f"Pod {team}/web-strict"]["why"]
    for found in before.values():
        run_all(sutler, *found["fix"][:-1])
    assert all("lacks pull secret" in found["why"] for found in failing_pods(sutler, team))
    account = control_plane.kubectl_json("get", "serviceaccount", "strict", "-n", team)
    assert {each["name"] for each in account["imagePullSecrets"]} == {"own", "acme"}


def test_namespace_that_is_excluded_by_its_label_can_be_included(
    sutler: Sutler, control_plane: ControlPlane, team: str
) -> None:
    control_plane.kubectl("label", "namespace", team, "sutler.dev/exclude=true")
    apply(control_plane, mapping("acme"))
    pod_that_waits(control_plane, team, "acme.example.com/app")
    (found,) = failing_pods(sutler, team)
    assert f"namespace {team} is excluded from the webhook" in found["why"]
    run_all(sutler, *found["fix"][:-1])
    (found,) = failing_pods(sutler, team)
    assert "lacks pull secret" in found["why"]
