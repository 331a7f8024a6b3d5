"""Pods created with plain kubectl carry the pull secrets that their images need."""

import json
import subprocess
from typing import Any

import pytest

from tests.cluster import ControlPlane, wait_for
from tests.cluster.installation import Installation
from tests.system.conftest import ALIYUN, apply, ready_condition, registry_mapping

MAPPED = f"{ALIYUN}/xxxx/rbd-rest-api:latest"

pytestmark = pytest.mark.usefixtures("sutler")


def pod(name: str, image: str, *secrets: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "app", "image": image}]}
    if secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in secrets]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def create(control_plane: ControlPlane, namespace: str, manifest: dict[str, Any], *flags: str) -> Any:
    """Kubectl create; the object as it comes back."""
    said = control_plane.kubectl("create", "-n", namespace, "-f", "-", "-o", "json", *flags, input=json.dumps(manifest))
    return json.loads(said)


def pull_secrets(created: Any) -> list[str]:
    return [secret["name"] for secret in created["spec"].get("imagePullSecrets", [])]


def test_pod_with_mapped_image_gets_exactly_its_secret(
    control_plane: ControlPlane, mapping: str, namespace: str
) -> None:
    assert pull_secrets(create(control_plane, namespace, pod("mapped", MAPPED))) == [mapping]
    wait_for(
        lambda: control_plane.there(f"/api/v1/namespaces/{namespace}/secrets/{mapping}"),
        "the copy of the secret in the Pod's namespace",
    )


@pytest.mark.usefixtures("mapping")
def test_pod_with_sibling_path_gets_none(control_plane: ControlPlane, namespace: str) -> None:
    for path in ("yyyy", "xxxxx"):
        created = create(control_plane, namespace, pod(path, f"{ALIYUN}/{path}/rbd-rest-api:latest"))
        assert pull_secrets(created) == []


def test_pod_keeps_its_own_secret_first(control_plane: ControlPlane, mapping: str, namespace: str) -> None:
    assert pull_secrets(create(control_plane, namespace, pod("own", MAPPED, "mine"))) == ["mine", mapping]


def test_service_accounts_secrets_are_kept_first(control_plane: ControlPlane, mapping: str, namespace: str) -> None:
    patch = json.dumps({"imagePullSecrets": [{"name": "of-the-account"}]})
    control_plane.kubectl("patch", "serviceaccount", "default", "-n", namespace, "-p", patch)
    created = wait_for(
        lambda: _with_secrets_of_account(create(control_plane, namespace, pod("account", MAPPED), "--dry-run=server")),
        "admission to see the account's secrets",
    )
    assert pull_secrets(created) == ["of-the-account", mapping]


def _with_secrets_of_account(created: Any) -> Any:
    return created if "of-the-account" in pull_secrets(created) else None


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job"])
def test_pods_of_controllers_get_theirs(control_plane: ControlPlane, mapping: str, namespace: str, kind: str) -> None:
    template: dict[str, Any] = {
        "metadata": {"labels": {"app": kind.lower()}},
        "spec": {"containers": [{"name": "app", "image": MAPPED}]},
    }
    spec: dict[str, Any] = {"template": template}
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
    else:
        spec["selector"] = {"matchLabels": {"app": kind.lower()}}
    if kind == "StatefulSet":
        spec["serviceName"] = "work"
    version = "batch/v1" if kind == "Job" else "apps/v1"
    create(control_plane, namespace, {"apiVersion": version, "kind": kind, "metadata": {"name": "work"}, "spec": spec})
    select = f"-l=app={kind.lower()}"
    pods = wait_for(
        lambda: control_plane.kubectl_json("get", "pods", "-n", namespace, select)["items"], f"{kind}'s Pod"
    )
    assert [pull_secrets(each) for each in pods] == [[mapping]]


def test_dry_run_shows_the_same_and_writes_nothing(control_plane: ControlPlane, mapping: str, namespace: str) -> None:
    assert pull_secrets(create(control_plane, namespace, pod("dry", MAPPED), "--dry-run=server")) == [mapping]
    assert control_plane.kubectl("get", "pods", "-n", namespace, "-o", "name") == ""


def test_an_image_that_comes_too_late_for_its_secret_is_warned_about(
    control_plane: ControlPlane, mapping: str, namespace: str
) -> None:
    create(control_plane, namespace, pod("late", "example.com/public:1"))
    kubeconfig = f"--kubeconfig={control_plane.kubeconfig}"
    command = ["kubectl", kubeconfig, "set", "image", "pod/late", f"app={MAPPED}", "-n", namespace]
    changed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert f"Warning: sutler: pull secret {mapping}" in changed.stderr
    assert pull_secrets(control_plane.kubectl_json("get", "pod", "late", "-n", namespace)) == []


def test_a_mapping_with_an_impossible_registry_says_so_and_the_others_work(
    control_plane: ControlPlane, mapping: str, namespace: str
) -> None:
    apply(control_plane, registry_mapping("impossible", "registry.example.com:99999"))
    try:
        condition = wait_for(lambda: _not_ready(control_plane, "impossible"), "the mapping's status")
        assert "99999" in condition["message"]
        assert pull_secrets(create(control_plane, namespace, pod("mapped", MAPPED))) == [mapping]
    finally:
        control_plane.kubectl("delete", "registrymapping", "impossible")


def test_a_misspelt_selector_selects_nothing(control_plane: ControlPlane, namespace: str) -> None:
    misspelt = registry_mapping("misspelt", "quay.io/acme")
    misspelt["spec"]["namespaceSelector"] = {"matchLabel": {"team": "a"}}
    control_plane.kubectl("apply", "--validate=false", "-f", "-", input=json.dumps(misspelt))
    try:
        condition = wait_for(lambda: _not_ready(control_plane, "misspelt"), "the mapping's status")
        assert "'matchLabel' is no field" in condition["message"]
        assert pull_secrets(create(control_plane, namespace, pod("elsewhere", "quay.io/acme/app"))) == []
    finally:
        control_plane.kubectl("delete", "registrymapping", "misspelt")


def _not_ready(control_plane: ControlPlane, mapping: str) -> dict[str, str] | None:
    condition = ready_condition(control_plane, mapping)
    return condition if condition["status"] == "False" else None


@pytest.mark.long
def test_webhook_and_secrets_go_on_after_a_kill(
    control_plane: ControlPlane, sutler: Installation, mapping: str, namespace: str
) -> None:
    sutler.webhook.kill9()
    sutler.secrets.kill9()
    late = f"{namespace}-late"
    control_plane.create_namespace(late)
    try:
        assert pull_secrets(create(control_plane, namespace, pod("meanwhile", MAPPED))) == []  # let in, not refused
        sutler.webhook.restart()
        sutler.secrets.restart()
        assert pull_secrets(create(control_plane, namespace, pod("afterwards", MAPPED))) == [mapping]
        wait_for(
            lambda: control_plane.there(f"/api/v1/namespaces/{late}/secrets/{mapping}"),
            "the copy in the namespace that was made meanwhile",
        )
    finally:
        control_plane.empty_namespace(late)
