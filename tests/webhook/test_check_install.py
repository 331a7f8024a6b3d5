"""`sutler check-install`: on a real installation with one fault after the other, and on made-up states."""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sutler.cli.check.cluster_state import (
    UNREAD_PERMISSIONS,
    UNREAD_REGISTRATION,
    ClusterState,
    DryRun,
    DryRunResult,
)
from sutler.cli.check.dry_run import candidates, pod
from sutler.cli.check.engine import INSTALLATION, run_checks
from sutler.cli.check.findings import Finding, exit_code
from sutler.cli.check.permissions import NEEDED
from sutler.cli.cluster_view import ClusterView
from sutler.cli.exit_codes import ExitCode
from sutler.registry.mapping import Mapping
from sutler.registry.selector import LabelSelector
from tests.cli.conftest import Ran, Sutler
from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for
from tests.cluster.installation import Installation
from tests.conftest import REPOSITORY
from tests.volumes.objects import storage_class

NOW = "2026-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def webhook(
    control_plane: ControlPlane, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SutlerProcess]:
    installation = Installation(control_plane, None, place, tmp_path_factory.mktemp("sutler"))
    installation.apply()
    yield installation.run("webhook", "--certificate-interval", "0.3")
    installation.stop()


@pytest.fixture
def mapped(control_plane: ControlPlane) -> Iterator[None]:
    mapping = {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": "acme"},
        "spec": {"registries": ["*.acme.example"], "pullSecret": {"name": "acme-pull"}, "namespaceSelector": {}},
    }
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(mapping))
    yield
    control_plane.kubectl("delete", "registrymapping", "acme")


@pytest.fixture
def check(control_plane: ControlPlane, webhook: SutlerProcess) -> Sutler:
    del webhook
    return sutler(control_plane.kubeconfig)


def sutler(kubeconfig: Path) -> Sutler:
    ours = {"KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120"}
    return Sutler({**os.environ, **ours})


def levels(ran: Ran) -> dict[str, str]:
    """By the first words of what was checked."""
    return {f"{each['what']} {each['why']}".strip(): each["level"] for each in ran.json}


def level(ran: Ran, text: str) -> str:
    (found,) = (level for what, level in levels(ran).items() if text in what)
    return found


def test_injection_is_seen_to_work_from_end_to_end(check: Sutler, mapped: None, control_plane: ControlPlane) -> None:
    del mapped

    def works() -> Ran | None:
        ran = check("check-install", "-o", "json")
        return ran if ran.status == 0 and any("gets pull secret acme-pull" in what for what in levels(ran)) else None

    def pods() -> set[str]:
        return set(control_plane.kubectl("get", "pods", "-A", "-o", "name").split())

    before = pods()
    ran = wait_for(works, "the mapping to reach the webhook")
    assert level(ran, "A Pod with image x.acme.example/sutler-check-install in namespace default gets") == "ok"
    assert level(ran, "The API server is Kubernetes 1.") == "ok"
    assert level(ran, "The CRD of RegistryMapping is established") == "ok"
    assert level(ran, "The webhook is registered, and the API server trusts its certificate") == "ok"
    assert level(ran, "All service accounts have the permissions") == "ok"
    assert level(ran, "the webhook is registered at https://127.0.0.1:") == "note"
    assert pods() <= before, "the Pod is not stored"


def test_webhook_that_does_not_answer_is_found_by_trying(check: Sutler, mapped: None, webhook: SutlerProcess) -> None:
    del mapped
    webhook.freeze()
    try:
        ran = check("check-install")
    finally:
        webhook.resume()
    assert ran.status == 1
    assert "does not get pull secret acme-pull" in ran.out
    assert "$ kubectl get --raw /metrics | grep apiserver_admission_webhook" in ran.out


def test_lost_permission_is_named(check: Sutler, control_plane: ControlPlane) -> None:
    binding = ("clusterrolebinding", "sutler-webhook")
    saved = control_plane.kubectl("get", *binding, "-o", "yaml")
    control_plane.kubectl("delete", *binding)
    try:
        ran = wait_for(
            lambda: _finding(check, "Account sutler-system/sutler-webhook lacks permissions"), "the loss to be seen"
        )
    finally:
        control_plane.kubectl("create", "-f", "-", input=saved)
    assert ran.status == 1
    assert "list registrymappings" in ran.out
    assert "$ kubectl apply -k manifests/base" in ran.out


def test_own_namespace_that_is_not_excluded_is_found(check: Sutler, control_plane: ControlPlane) -> None:
    kubectl, configuration = control_plane.kubectl, "mutatingwebhookconfiguration/sutler-webhook"
    saved = control_plane.kubectl_json("get", configuration)["webhooks"][0]["namespaceSelector"]
    path = "/webhooks/0/namespaceSelector"
    kubectl("patch", configuration, "--type=json", "-p", json.dumps([{"op": "replace", "path": path, "value": {}}]))
    try:
        ran = check("check-install")
    finally:
        kubectl(
            "patch", configuration, "--type=json", "-p", json.dumps([{"op": "replace", "path": path, "value": saved}])
        )
    assert ran.status == 1, ran.out
    assert "Namespace sutler-system is not excluded" in ran.out


def test_service_of_the_webhook_needs_a_pod_that_is_ready(check: Sutler, control_plane: ControlPlane) -> None:
    kubectl, configuration = control_plane.kubectl, "mutatingwebhookconfiguration/sutler-webhook"
    saved = control_plane.kubectl_json("get", configuration)["webhooks"][0]["clientConfig"]
    metadata = {"name": "by-hand", "namespace": "sutler-system"}

    def registered(client: dict[str, Any]) -> None:
        patch = [{"op": "replace", "path": "/webhooks/0/clientConfig", "value": client}]
        kubectl("patch", configuration, "--type=json", "-p", json.dumps(patch))

    def made(kind: str, **content: Any) -> None:
        kubectl(
            "create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": kind, "metadata": metadata} | content)
        )

    registered({"service": metadata, "caBundle": saved["caBundle"]})
    try:
        assert "is registered at Service sutler-system/by-hand, which does not exist" in check("check-install").out
        made("Service", spec={"ports": [{"port": 443}]})
        assert "has no ready Pod behind Service sutler-system/by-hand" in check("check-install").out
        # Of a Service without a selector; newer servers make an EndpointSlice of them.
        made("Endpoints", subsets=[{"addresses": [{"ip": "10.244.0.9"}], "ports": [{"port": 443}]}])
        wait_for(lambda: "behind Service" not in check("check-install").out, "the endpoint to be seen")
        kubectl("patch", "endpoints", "by-hand", "-n", "sutler-system", "--type=json", "-p", json.dumps(_UNREADY))
        wait_for(lambda: "behind Service" in check("check-install").out, "the endpoint to be seen as not ready")
    finally:
        registered(saved)
        kubectl("delete", "service,endpoints", "by-hand", "-n", "sutler-system", "--ignore-not-found")


_UNREADY = [{"op": "move", "from": "/subsets/0/addresses", "path": "/subsets/0/notReadyAddresses"}]


def test_user_with_few_permissions_sees_what_could_not_be_read(check: Sutler, control_plane: ControlPlane) -> None:
    del check
    ran = sutler(control_plane.kubeconfig_for("default", "default"))("check-install")
    assert "could not be read: you lack the permission" in ran.out
    assert "have the permissions" not in ran.out
    assert "no mapping yet" not in ran.out
    assert "PROBLEM" not in ran.out
    assert ran.status == ExitCode.CLUSTER


def _finding(check: Sutler, text: str) -> Ran | None:
    ran = check("check-install")
    return ran if text in ran.out else None


def installation(**changes: Any) -> ClusterState:
    """An installation without a mapping and without faults."""
    state = ClusterState(ClusterView("sutler-system"), now=datetime.fromisoformat(NOW), version=(1, 30))
    state.crd = {
        "spec": {"versions": [{"name": "v1alpha1", "served": True}]},
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }
    state.deployments = {component: deployment(component, 1) for component in ("webhook", "secrets", "volumes", "api")}
    state.leases = {component: lease("leader", NOW) for component in ("secrets", "volumes")}
    state.permissions_checked = 3
    state.dry_run = DryRun(DryRunResult.NOT_TRIED, why="there is no mapping yet")
    for name, value in changes.items():
        setattr(state, name, value)
    return state


def check_all(state: ClusterState) -> list[Finding]:
    return run_checks(INSTALLATION, state)


def deployment(component: str, ready: int) -> dict[str, Any]:
    return {
        "metadata": {"name": f"sutler-{component}", "labels": {"app.kubernetes.io/component": component}},
        "spec": {"replicas": 1},
        "status": {"readyReplicas": ready},
    }


def lease(holder: str, renewed: str) -> dict[str, Any]:
    return {"spec": {"holderIdentity": holder, "renewTime": renewed}}


def waiting(component: str, reason: str, message: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {
        "metadata": {"labels": {"app.kubernetes.io/component": component}},
        "status": {"containerStatuses": [{"state": state}]},
    }


@pytest.mark.parametrize(
    ("version", "parameters"), [((1, 30), {"volumeSource": "rbd"}), ((1, 36), {"volumeSource": "csi"}), ((1, 36), {})]
)
def test_class_whose_volumes_nodes_can_mount_is_no_problem(
    version: tuple[int, int], parameters: dict[str, str]
) -> None:
    found = check_all(installation(version=version, classes=[storage_class(parameters)]))
    assert not any("StorageClass" in result.what for result in found)


MAPPING = Mapping("m", ("quay.io/acme",), "pull", LabelSelector(), copy_from="source")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"version": (1, 19)}, "is Kubernetes 1.19; Sutler needs 1.20"),
        ({"crd": None}, "is unknown to this cluster"),
        (
            {"version": (1, 31), "classes": [storage_class({"volumeSource": "rbd"})]},
            "StorageClass fast has volumeSource rbd, which no kubelet mounts since Kubernetes 1.31",
        ),
        (
            {"version": (1, 36), "classes": [storage_class({"userSecretName": "s"})]},
            "StorageClass fast has volumeSource",
        ),
        ({"crd": {"spec": {"versions": []}}}, "is not established"),
        (
            {
                "deployments": {"webhook": deployment("webhook", 0)},
                "own_pods": [waiting("webhook", "ErrImagePull", "not found"), waiting("api", "Other", "x")],
            },
            "Deployment sutler-system/sutler-webhook has 0 of 1 Pods ready: ErrImagePull not found.",
        ),
        ({"deployments": {}}, "Deployment sutler-webhook does not exist in namespace sutler-system"),
        ({"leases": {"secrets": lease("old", "2025-12-31T23:00:00+00:00")}}, "no leader"),
        ({"leases": {}}, "no leader"),
        ({"denied": [("sutler-webhook", "list namespaces")]}, "lacks permissions: list namespaces"),
        ({"view": ClusterView("sutler-system", registered=False)}, "The webhook is not registered"),
        ({"service_problem": "has no ready Pod behind Service a/b"}, "has no ready Pod"),
        ({"certificate_problem": "there is none"}, "could not be read: there is none"),
        (
            {"dry_run": DryRun(DryRunResult.NOT_INJECTED, "i", "ns", "s")},
            "A Pod with image i in namespace ns does not get",
        ),
    ],
)
def test_each_fault_is_a_problem_with_a_way_out(changes: dict[str, Any], what: str) -> None:
    found = [each for each in check_all(installation(**changes)) if each.is_problem]
    assert any(what in each.as_text() for each in found), [each.as_text() for each in found]


def test_installation_without_faults_or_mappings_has_no_problem() -> None:
    found = check_all(installation())
    assert not [each.as_text() for each in found if each.is_problem]
    assert any("could not be tried: there is no mapping yet" in each.as_text() for each in found)


WEBHOOK = {"webhook": deployment("webhook", 1)}


@pytest.mark.parametrize(
    ("changes", "what", "not_said"),
    [
        ({"dry_run": DryRun(DryRunResult.REJECTED, "i", "ns", "s", "quota")}, "rejects it: quota", "PROBLEM"),
        (
            {"unread": [UNREAD_PERMISSIONS], "permissions_checked": 0},
            "The permissions of Sutler's service accounts could not",
            "ok       All service",
        ),
        ({"unread": ["Leases"], "leases": {}}, "whether one of them is the leader could not be read", "no leader"),
        (
            {"unread": ["Leases"], "leases": {}, "deployments": WEBHOOK},
            "unknown without reading Leases",
            "secrets does not exist:",
        ),
        (
            {"unread": [UNREAD_REGISTRATION], "deployments": {}},
            "elsewhere is unknown",
            "does not exist in namespace",
        ),
        (
            {"dry_run": DryRun(DryRunResult.NOT_TRIED, why="you may not", unread=True)},
            "could not be tried: you may not",
            "note",
        ),
    ],
)
def test_what_could_not_be_read_or_tried_is_unknown(changes: dict[str, Any], what: str, not_said: str) -> None:
    found = check_all(installation(**changes))
    said = [each.as_text() for each in found]
    assert any(text.startswith("UNKNOWN") and what in text for text in said), said
    assert not any(not_said in text for text in said), said
    assert exit_code(found) == ExitCode.CLUSTER


def test_injected_pull_secret_that_may_be_missing_is_only_noted() -> None:
    dry_run = DryRun(DryRunResult.INJECTED, "i", "ns", "s", unready="mapping m is not ready: no source")
    (found,) = (each for each in check_all(installation(dry_run=dry_run)) if "gets pull secret" in each.as_text())
    assert found.as_json()["level"] == "note"
    assert "but the Secret may be missing: mapping m is not ready: no source" in found.as_text()


def test_components_that_are_not_installed_are_only_noted() -> None:
    found = check_all(installation(deployments={"webhook": deployment("webhook", 1)}, leases={}))
    assert not [each.as_text() for each in found if each.is_problem]
    view = ClusterView("sutler-system", mappings=[MAPPING])
    found = check_all(installation(deployments={"webhook": deployment("webhook", 1)}, leases={}, view=view))
    assert [each.as_text() for each in found if each.is_problem], (
        "a mapping needs a copy and there is no secrets controller"
    )


def test_dry_run_prefers_namespace_default_and_skips_excluded_ones() -> None:
    view = ClusterView("sutler-system", mappings=[MAPPING])
    view.namespaces = {name: {} for name in ("kube-system", "a", "default", "sutler-system")}
    assert [choice[1:] for choice in candidates(view, None)] == [("default", "quay.io/acme/sutler-check-install")]
    assert [choice[1:] for choice in candidates(view, "a")] == [("a", "quay.io/acme/sutler-check-install")]
    assert list(candidates(view, "kube-system")) == []


@pytest.mark.parametrize("registry", ["docker.io", "*.io", "localhost:5000/x", "a?.example.com", "[::1]:5000"])
def test_image_of_the_dry_run_matches_the_mapping(registry: str) -> None:
    view = ClusterView("sutler-system", mappings=[Mapping("m", (registry,), "pull", LabelSelector())])
    view.namespaces = {"default": {}}
    ((_, _, image),) = candidates(view, None)
    assert pod(image)["spec"]["containers"][0]["image"] == image


def test_permissions_are_those_of_accounts_that_the_manifests_create() -> None:
    made = "".join(file.read_text() for file in (REPOSITORY / "manifests" / "base").glob("*-rbac.yaml"))
    for account, needed in NEEDED.items():
        assert f"name: {account}\n" in made
        assert all(permission.resource in made for permission in needed)
