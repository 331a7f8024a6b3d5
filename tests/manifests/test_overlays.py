"""Each overlay, rendered by kubectl and taken by a real API server."""

import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.volumes.planning.storage_class import parse_class
from tests.cluster import ControlPlane
from tests.conftest import REPOSITORY
from tests.manifests.promql_expressions import rules
from tests.manifests.pruned_fields import pruned_fields
from tests.manifests.references import dangling
from tests.manifests.rendered import (
    BASE,
    KNOWS_COMPONENTS,
    MANIFESTS,
    OVERLAYS,
    Json,
    container,
    named,
    of,
    place,
    pods,
    rendered,
)
from tests.manifests.stubs import definitions

pytestmark = KNOWS_COMPONENTS

# Fields that a server of the minor version before drops in silence.
NEWER = {"matchConditions": 30, "unhealthyPodEvictionPolicy": 27, "endPort": 22}
# Kinds that it does not know at all.
KINDS = {"ValidatingAdmissionPolicy": 30, "ValidatingAdmissionPolicyBinding": 30}
ALL_TOGETHER = ["cert-manager", "prometheus", "modern", "csi"]


@pytest.fixture(scope="module")
def server(applied: ControlPlane) -> Iterator[ControlPlane]:
    """With the base, and with the kinds of those that the overlays are for."""
    stubs = yaml.safe_dump_all(definitions())
    applied.kubectl("apply", "-f", "-", input=stubs)
    applied.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", "-", input=stubs)
    yield applied
    applied.kubectl("delete", "-f", "-", "--wait=false", input=stubs)


@pytest.fixture(scope="module")
def minor(control_plane: ControlPlane) -> int:
    return int(control_plane.kubectl_json("version")["serverVersion"]["minor"].rstrip("+"))


def combined(folder: Path, *parts: str) -> list[Json]:
    """A user's own overlay, as the guide describes it."""
    # Relative: kustomize takes no absolute paths.
    up = Path(*[".."] * len(folder.resolve().relative_to("/").parts))
    kinds: dict[str, list[str]] = {"Kustomization": [str(up / BASE.relative_to("/"))], "Component": []}
    for path in (MANIFESTS / "components" / part for part in parts):
        kind = yaml.safe_load((path / "kustomization.yaml").read_text())["kind"]
        kinds[kind].append(str(up / path.relative_to("/")))
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": kinds["Kustomization"],
        "components": kinds["Component"],
        "images": [{"name": "sutler", "newName": "registry.example.com/sutler", "newTag": "1.2.3"}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own))
    return rendered(folder)


class DryRun:
    """What the server makes of an object of any kind, there or not; nothing is stored."""

    def __init__(self, server: ControlPlane) -> None:
        self._server = server
        self._resources: dict[str, dict[str, Json]] = {}

    def apply(self, one: Json) -> Any:
        """The object as the server would store it."""
        version = one["apiVersion"]
        root = f"/{'apis' if '/' in version else 'api'}/{version}"
        if version not in self._resources:
            found = self._server.request("GET", root)["resources"]
            self._resources[version] = {each["kind"]: each for each in found if "/" not in each["name"]}
        resource = self._resources[version][one["kind"]]
        _, namespace, name = place(one)
        where = f"/namespaces/{namespace}" if resource["namespaced"] else ""
        path = f"{root}{where}/{resource['name']}"
        if self._server.there(f"{path}/{name}") is None:
            return self._server.request("POST", f"{path}?dryRun=All", one)
        return self._server.request("PATCH", f"{path}/{name}?dryRun=All", one, "application/merge-patch+json")


def test_server_prunes_no_field(server: ControlPlane, minor: int) -> None:
    """Of any overlay: what differs between them is asked for at once, and not stored."""
    given: dict[str, Json] = {}
    for overlay in OVERLAYS:
        for one in rendered(OVERLAYS[overlay]):
            if minor >= KINDS.get(one["kind"], 0):
                given.setdefault(json.dumps(one, sort_keys=True), _as_known(one, minor))
    asked = DryRun(server)
    missing = [f"{place(one)} {path}" for one in given.values() for path in pruned_fields(one, asked.apply(one))]
    too_new = [field for field, since in NEWER.items() if minor < since]
    assert [path for path in missing if not path.endswith(tuple(too_new or ["nothing"]))] == []
    assert bool(missing) == bool(too_new)


@pytest.mark.long
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_is_applied_over_another(server: ControlPlane, minor: int, overlay: str) -> None:
    """Applied where the base is, and the overlay before: people add overlays, and go back."""
    given = [_as_known(one, minor) for one in rendered(OVERLAYS[overlay]) if minor >= KINDS.get(one["kind"], 0)]
    listed = {"apiVersion": "v1", "kind": "List", "items": given}
    # kubectl itself would refuse the fields that this server is too old for.
    command = ["kubectl", f"--kubeconfig={server.kubeconfig}", "apply", "--validate=false", "-o", "json", "-f", "-"]
    added = {place(one) for one in given} - {place(one) for one in rendered(BASE)}
    _delete(server, added)
    try:
        ran = subprocess.run(command, input=json.dumps(listed), capture_output=True, text=True, timeout=60, check=False)
    finally:
        _delete(server, added)
    assert (ran.returncode, ran.stderr) == (0, "")
    kept = {place(one): one for one in json.loads(ran.stdout)["items"]}
    missing = [f"{place(one)} {path}" for one in given for path in pruned_fields(one, kept[place(one)])]
    too_new = [field for field, since in NEWER.items() if minor < since]
    assert [path for path in missing if not path.endswith(tuple(too_new or ["nothing"]))] == []
    assert bool(missing) == (overlay == "modern" and bool(too_new))


def _delete(server: ControlPlane, places: set[tuple[str, str, str]]) -> None:
    for kind, namespace, name in places:
        where = ("-n", namespace) if namespace else ()
        server.kubectl("delete", kind, name, *where, "--ignore-not-found", "--wait=false")


def _as_known(one: Json, minor: int) -> Json:
    """Disruption budgets are the same in policy/v1beta1, which is what servers before 1.21 call it."""
    if one["apiVersion"] == "policy/v1" and minor < 21:
        return copy.deepcopy(one) | {"apiVersion": "policy/v1beta1"}
    return one


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_referenced_object_exists(overlay: str) -> None:
    assert dangling(rendered(OVERLAYS[overlay])) == []


def test_a_missing_object_is_noticed() -> None:
    """Each in turn, of the overlay that has most: each is named by another, but for a few."""
    objects = rendered(OVERLAYS["cert-manager"])
    unnoticed = {one["kind"] for one in objects if not dangling([other for other in objects if other is not one])}
    ends = {"RoleBinding", "ClusterRoleBinding", "Deployment", "MutatingWebhookConfiguration", "Certificate"}
    assert unnoticed - ends == {"Namespace", "NetworkPolicy", "Service", "ClusterRole"}
    assert dangling([one for one in objects if one["kind"] not in {"Deployment", "Service"}])


def test_components_can_be_combined(tmp_path: Path) -> None:
    objects = combined(tmp_path, *ALL_TOGETHER)
    assert dangling(objects) == []
    webhook = named(objects, "MutatingWebhookConfiguration", "sutler-webhook")
    assert webhook["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == "sutler-system/sutler-webhook"
    assert all(each["matchConditions"] for each in webhook["webhooks"])
    assert {container(pod)["image"] for pod in pods(objects).values()} == {"registry.example.com/sutler:1.2.3"}


@pytest.mark.parametrize(
    ("part", "components"), [("pull-secrets-only", {"webhook", "secrets"}), ("volumes-only", {"volumes", "api"})]
)
def test_part_contains_nothing_of_the_other(part: str, components: set[str], tmp_path: Path) -> None:
    for objects in (rendered(OVERLAYS[part]), combined(tmp_path, "cert-manager", "prometheus", part)):
        assert dangling(objects) == []
        label = "app.kubernetes.io/component"
        labels = [one["metadata"].get("labels", {}) for one in objects]
        assert {each[label] for each in labels if label in each} == components | {"common"}
        assert set(pods(objects)) == {f"sutler-{component}" for component in components}


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("pull-secrets-only", {"SutlerVolumesDown"}),
        ("volumes-only", {"SutlerWebhookDown", "SutlerSecretsDown"}),
    ],
)
def test_alerts_of_parts_that_are_not_installed_are_removed(part: str, missing: set[str], tmp_path: Path) -> None:
    everything = [rule["alert"] for group in rules()["groups"] for rule in group["rules"]]
    assert missing < set(everything)
    (installed,) = of(combined(tmp_path, "prometheus", part), "PrometheusRule")
    alerts = [rule["alert"] for group in installed["spec"]["groups"] for rule in group["rules"]]
    assert alerts == [alert for alert in everything if alert not in missing]


def test_with_cert_manager_the_webhook_may_write_nothing() -> None:
    objects = rendered(OVERLAYS["cert-manager"])
    bound = {
        place(one)
        for one in of(objects, "ClusterRole", "Role")
        for binding in of(objects, "ClusterRoleBinding", "RoleBinding")
        if binding["roleRef"]["name"] == one["metadata"]["name"]
        and [subject["name"] for subject in binding["subjects"]] == ["sutler-webhook"]
    }
    assert bound == {("ClusterRole", "", "sutler-webhook")}
    rules = named(objects, "ClusterRole", "sutler-webhook")["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}
    assert "secrets" not in {resource for rule in rules for resource in rule["resources"]}


@pytest.mark.parametrize("overlay", ["csi", "in-tree"])
def test_storage_classes_are_served_by_sutler(overlay: str) -> None:
    classes = {one["metadata"]["name"]: parse_class(one) for one in of(rendered(OVERLAYS[overlay]), "StorageClass")}
    assert classes["rbd"].pool == "rbd"
    assert {one.volume_source for one in classes.values()} == {"rbd" if overlay == "in-tree" else "csi"}
    assert all(one.secret is not None and one.secret.namespace == "sutler-system" for one in classes.values())


def test_example_class_equals_the_class_of_csi() -> None:
    example = yaml.safe_load((REPOSITORY / "manifests/examples/storageclass.yaml").read_text())
    overlay = named(rendered(OVERLAYS["csi"]), "StorageClass", "rbd")
    assert {**overlay, "metadata": {"name": "rbd"}} == example
