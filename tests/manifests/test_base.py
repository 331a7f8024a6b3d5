"""The base, rendered by kubectl and applied to a real API server."""

import base64
import json

import pytest

from tests.cluster import ClusterError, ControlPlane, wait_for
from tests.manifests.references import dangling
from tests.manifests.rendered import BASE as FOLDER
from tests.manifests.rendered import (
    KNOWS_COMPONENTS,
    OVERLAYS,
    Json,
    container,
    named,
    of,
    place,
    pods,
    rendered,
    selected,
)

BASE = str(FOLDER)
CONFIGURATION = "sutler-webhook"


@pytest.fixture(scope="module")
def objects() -> list[Json]:
    return rendered(FOLDER)


@pytest.mark.usefixtures("applied")
def test_every_object_is_created(control_plane: ControlPlane, objects: list[Json]) -> None:
    found = {place(one) for one in control_plane.kubectl_json("get", "-k", BASE)["items"]}
    assert len(found) > 20
    assert found == {place(one) for one in objects}


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


def test_every_referenced_object_exists(objects: list[Json]) -> None:
    assert dangling(objects) == []


def test_services_and_deployments_select_their_own_pods_only(objects: list[Json]) -> None:
    for one in of(objects, "Deployment", "Service"):
        selector = one["spec"]["selector"]
        own = pods(objects)[one["metadata"]["name"]]
        assert selected(objects, selector.get("matchLabels", selector)) == [own], place(one)


def test_each_process_has_an_account_of_its_own(objects: list[Json]) -> None:
    accounts = [pod["spec"]["serviceAccountName"] for pod in pods(objects).values()]
    assert len(set(accounts)) == len(accounts)
    assert "default" not in accounts


def test_pods_have_requests_limits_and_probes(objects: list[Json]) -> None:
    for name, pod in pods(objects).items():
        main = container(pod)
        assert main["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert "memory" in main["resources"]["limits"], name
        ports = {port["name"] for port in main["ports"]}
        assert main["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probes"}, name
        assert main["startupProbe"]["httpGet"] == main["livenessProbe"]["httpGet"], name
        assert main["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "probes"}, name
        assert "probes" in ports, name


def test_update_of_the_webhook_removes_no_ready_replica(objects: list[Json]) -> None:
    webhook = named(objects, "Deployment", "sutler-webhook")
    assert webhook["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert webhook["spec"]["replicas"] == 3


@KNOWS_COMPONENTS
def test_drain_evicts_one_replica_at_a_time(objects: list[Json]) -> None:
    budgets = {one["metadata"]["name"]: one["spec"] for one in of(rendered(OVERLAYS["modern"]), "PodDisruptionBudget")}
    assert {budget["maxUnavailable"] for budget in budgets.values()} == {1}
    assert {budget["unhealthyPodEvictionPolicy"] for budget in budgets.values()} == {"AlwaysAllow"}
    # A budget for a single Pod would hold up every drain.
    several = {one["metadata"]["name"] for one in of(objects, "Deployment") if one["spec"]["replicas"] > 1}
    assert budgets.keys() == several


def test_priority_is_above_applications_and_below_the_cluster(objects: list[Json]) -> None:
    classes = {name: pod["spec"].get("priorityClassName") for name, pod in pods(objects).items()}
    assert classes == dict.fromkeys(["sutler-webhook", "sutler-secrets", "sutler-volumes"], "sutler") | {
        "sutler-api": None
    }
    # What Kubernetes allows to others than itself.
    assert named(objects, "PriorityClass", "sutler")["value"] <= 1_000_000_000


def test_webhook_blocks_no_pod_and_is_not_called_for_its_own(objects: list[Json]) -> None:
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
    groups = {
        "apps",
        "rbac.authorization.k8s.io",
        "admissionregistration.k8s.io",
        "networking.k8s.io",
        "scheduling.k8s.io",
    }
    assert versions == {"v1", *(f"{group}/v1" for group in groups)}
    for webhook in (one for each in of(objects, "MutatingWebhookConfiguration") for one in each["webhooks"]):
        assert "matchConditions" not in webhook


def test_image_is_set_in_one_place(objects: list[Json]) -> None:
    assert {container(pod)["image"] for pod in pods(objects).values()} == {"sutler:latest"}


@pytest.mark.usefixtures("applied")
def test_cluster_viewers_can_read_the_mappings(control_plane: ControlPlane) -> None:
    """The controller manager puts view together, and edit and admin from it."""
    look = {"apiGroups": ["sutler.dev"], "resources": ["registrymappings"], "verbs": ["get", "list", "watch"]}

    def rules(role: str) -> list[Json]:
        found: list[Json] = control_plane.kubectl_json("get", "clusterrole", role)["rules"]
        return [rule for rule in found if rule["apiGroups"] == ["sutler.dev"]]

    for role in ("view", "edit", "admin"):
        wait_for(lambda role=role: look in rules(role), f"the rule in {role}")  # type: ignore[misc] # bound at once, called at once
        assert all(rule["verbs"] == look["verbs"] for rule in rules(role))


def excluded(selector: Json, labels: Json) -> bool:
    """Whether one of its NotIn expressions, the only kind in use, keeps an object with these labels out."""
    assert {expression["operator"] for expression in selector["matchExpressions"]} == {"NotIn"}
    return any(labels.get(expression["key"]) in expression["values"] for expression in selector["matchExpressions"])


@pytest.mark.needs(kubernetes="1.23", why="older servers enforce no Pod Security")
@pytest.mark.usefixtures("applied")
def test_namespace_enforces_restricted_and_admits_all_its_pods(
    control_plane: ControlPlane, objects: list[Json]
) -> None:
    def create(*templates: Json) -> str:
        made = [{"apiVersion": "v1", "kind": "Pod", **each} for each in templates]
        for number, pod in enumerate(made):
            pod["metadata"] = {**pod["metadata"], "name": f"pod-{number}", "namespace": "sutler-system"}
        listed = {"apiVersion": "v1", "kind": "List", "items": made}
        return control_plane.kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", input=json.dumps(listed))

    templates = list(pods(objects).values())
    assert len(create(*templates).splitlines()) == len(templates) == 4
    looser = {**templates[0], "spec": {**templates[0]["spec"], "hostNetwork": True}}
    with pytest.raises(ClusterError, match='violates PodSecurity "restricted:latest"'):
        create(looser)
