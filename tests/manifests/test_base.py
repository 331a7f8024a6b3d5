"""The base, rendered by kubectl and applied to a real API server."""

import base64
import json
from typing import Any

import pytest
import yaml

from tests.cluster import ControlPlane
from tests.conftest import REPOSITORY

Json = dict[str, Any]

BASE = str(REPOSITORY / "manifests" / "base")
CONFIGURATION = "sutler-webhook"


@pytest.fixture(scope="module")
def objects(control_plane: ControlPlane) -> list[Json]:
    return [one for one in yaml.safe_load_all(control_plane.kubectl("kustomize", BASE)) if one]


@pytest.fixture(scope="module")
def applied(control_plane: ControlPlane, crds: None) -> None:  # noqa: ARG001 - the CRDs come first
    control_plane.kubectl("apply", "-k", BASE)


def of(objects: list[Json], kind: str) -> list[Json]:
    return [one for one in objects if one["kind"] == kind]


def names(objects: list[Json], kind: str) -> set[tuple[str, str]]:
    return {(one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in of(objects, kind)}


def pods(objects: list[Json]) -> dict[str, Json]:
    return {one["metadata"]["name"]: one["spec"]["template"] for one in of(objects, "Deployment")}


@pytest.mark.usefixtures("applied")
def test_every_object_is_accepted_and_there(control_plane: ControlPlane, objects: list[Json]) -> None:
    assert len(objects) > 20
    for one in objects:
        place = ["-n", one["metadata"]["namespace"]] if "namespace" in one["metadata"] else []
        control_plane.kubectl("get", one["kind"], one["metadata"]["name"], *place)


@pytest.mark.usefixtures("applied")
def test_applying_again_changes_nothing(control_plane: ControlPlane) -> None:
    again = control_plane.kubectl("apply", "-k", BASE).splitlines()
    assert again
    assert [line for line in again if not line.endswith("unchanged")] == []


@pytest.mark.usefixtures("applied")
def test_applying_again_keeps_what_the_webhook_wrote(control_plane: ControlPlane) -> None:
    """The CA bundle in the configuration, and the certificate in its Secret."""
    bundle = base64.b64encode((control_plane.state / "pki" / "ca.crt").read_bytes()).decode()
    published = [
        {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle} for index in range(2)
    ]
    kept = {"data": {"ca.crt": bundle}}
    where = ("mutatingwebhookconfiguration", CONFIGURATION)
    secret = ("secret", "sutler-webhook-certificate", "-n", "sutler-system")
    control_plane.kubectl("patch", *where, "--type=json", "-p", json.dumps(published))
    control_plane.kubectl("patch", *secret, "-p", json.dumps(kept))

    control_plane.kubectl("apply", "-k", BASE)

    configuration = control_plane.kubectl_json("get", *where)
    assert [webhook["clientConfig"]["caBundle"] for webhook in configuration["webhooks"]] == [bundle] * 2
    assert control_plane.kubectl_json("get", *secret)["data"]["ca.crt"] == bundle


def test_every_account_role_and_service_that_is_named_is_there(objects: list[Json]) -> None:
    accounts = names(objects, "ServiceAccount")
    for binding in of(objects, "RoleBinding") + of(objects, "ClusterRoleBinding"):
        role = binding["roleRef"]
        assert (binding["metadata"].get("namespace", ""), role["name"]) in names(objects, role["kind"])
        assert {(subject["namespace"], subject["name"]) for subject in binding["subjects"]} <= accounts
    for deployment in of(objects, "Deployment"):
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        assert (deployment["metadata"]["namespace"], account) in accounts
    for webhook in (one for each in of(objects, "MutatingWebhookConfiguration") for one in each["webhooks"]):
        service = webhook["clientConfig"]["service"]
        assert (service["namespace"], service["name"]) in names(objects, "Service")


def test_services_and_deployments_select_their_own_pods_only(objects: list[Json]) -> None:
    def matching(selector: Json) -> list[str]:
        found = pods(objects).items()
        return [name for name, pod in found if selector.items() <= pod["metadata"]["labels"].items()]

    for service in of(objects, "Service"):
        assert matching(service["spec"]["selector"]) == [service["metadata"]["name"]]
        ports = {port["name"] for port in container(pods(objects)[service["metadata"]["name"]])["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for deployment in of(objects, "Deployment"):
        assert matching(deployment["spec"]["selector"]["matchLabels"]) == [deployment["metadata"]["name"]]


def test_each_process_has_an_account_of_its_own(objects: list[Json]) -> None:
    accounts = [pod["spec"]["serviceAccountName"] for pod in pods(objects).values()]
    assert len(set(accounts)) == len(accounts)
    assert "default" not in accounts


def test_pods_satisfy_the_restricted_profile(objects: list[Json]) -> None:
    """What the Pod Security admission of newer clusters asks for, and a read-only root besides."""
    for name, pod in pods(objects).items():
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"]["type"] == "RuntimeDefault", name
        own = container(pod)["securityContext"]
        assert own["allowPrivilegeEscalation"] is False, name
        assert own["capabilities"] == {"drop": ["ALL"]}, name
        assert own["readOnlyRootFilesystem"] is True, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod["spec"].keys(), name
        assert all(volume.keys() <= {"name", "secret"} for volume in pod["spec"].get("volumes", [])), name


def test_pods_say_what_they_need_and_how_they_are(objects: list[Json]) -> None:
    for name, pod in pods(objects).items():
        main = container(pod)
        assert main["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert "memory" in main["resources"]["limits"], name
        ports = {port["name"] for port in main["ports"]}
        assert main["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probes"}, name
        assert main["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "probes"}, name
        assert "probes" in ports, name


def test_webhook_never_loses_a_replica_to_its_own_update(objects: list[Json]) -> None:
    webhook = next(one for one in of(objects, "Deployment") if one["metadata"]["name"] == "sutler-webhook")
    assert webhook["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert webhook["spec"]["replicas"] >= 2


def test_webhook_can_stop_no_pod_and_is_not_asked_about_its_own(objects: list[Json]) -> None:
    configuration = of(objects, "MutatingWebhookConfiguration")[0]
    for webhook in configuration["webhooks"]:
        assert webhook["failurePolicy"] == "Ignore"
        assert webhook["sideEffects"] == "None"
        assert webhook["timeoutSeconds"] <= 3
        assert excluded(webhook["namespaceSelector"], {"kubernetes.io/metadata.name": "sutler-system"})
        assert excluded(webhook["namespaceSelector"], {"kubernetes.io/metadata.name": "kube-system"})
        assert excluded(webhook["namespaceSelector"], of(objects, "Namespace")[0]["metadata"]["labels"])
        assert not excluded(webhook["namespaceSelector"], {"kubernetes.io/metadata.name": "default"})
        assert not excluded(webhook["namespaceSelector"], {})
        assert excluded(webhook["objectSelector"], {"sutler.dev/inject": "false"})
        assert not excluded(webhook["objectSelector"], {"sutler.dev/inject": "true"})


def test_no_manifest_needs_a_newer_kubernetes(objects: list[Json]) -> None:
    """Fields of 1.21 and later would be dropped in silence, or refused, by 1.20."""
    versions = {one["apiVersion"] for one in objects}
    stable = {"v1", "apps/v1", "rbac.authorization.k8s.io/v1", "admissionregistration.k8s.io/v1"}
    assert versions <= stable
    for webhook in (one for each in of(objects, "MutatingWebhookConfiguration") for one in each["webhooks"]):
        assert "matchConditions" not in webhook


def test_image_is_set_in_one_place(control_plane: ControlPlane, objects: list[Json]) -> None:
    assert {container(pod)["image"] for pod in pods(objects).values()} == {"sutler:latest"}
    assert "sutler:latest" in control_plane.kubectl("kustomize", BASE)


def container(pod: Json) -> Json:
    assert len(pod["spec"]["containers"]) == 1
    only: Json = pod["spec"]["containers"][0]
    return only


def excluded(selector: Json, labels: Json) -> bool:
    """Whether one of its NotIn expressions, the only kind in use, keeps an object with these labels out."""
    assert {expression["operator"] for expression in selector["matchExpressions"]} == {"NotIn"}
    return any(labels.get(expression["key"]) in expression["values"] for expression in selector["matchExpressions"])
