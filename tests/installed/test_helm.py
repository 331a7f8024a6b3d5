"""Releases of the chart on a real API server: installed, compared, upgraded, uninstalled, and taken over."""

import base64
import json
import subprocess

import pytest

from tests.cluster import ControlPlane
from tests.manifests.helm import NAMESPACE, Release
from tests.manifests.rendered import BASE, KNOWS_COMPONENTS, MANIFESTS, Json
from tests.system.conftest import apply, registry_mapping

pytestmark = KNOWS_COMPONENTS

REGISTRATION = ("mutatingwebhookconfiguration", "sutler-webhook")
CERTIFICATE = ("secret", "sutler-webhook-certificate", "-n", NAMESPACE)
MINE = "app.kubernetes.io/part-of=sutler"


@pytest.fixture(params=["4", pytest.param("3", marks=pytest.mark.long)])
def release(request: pytest.FixtureRequest, control_plane: ControlPlane) -> Release:
    return Release(control_plane.kubeconfig, request.param)


def test_life_of_a_release(control_plane: ControlPlane, release: Release) -> None:
    """It equals the kustomize manifests; an upgrade keeps what Sutler wrote; CRDs and mappings outlive it."""
    said = release.install()
    assert "sutler registry add" in said
    assert "sutler check-install" in said
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(MANIFESTS / "crds"))
    assert differences(control_plane) == []

    published = write_as_the_webhook_does(control_plane)
    apply(control_plane, registry_mapping("kept", "registry.example.com"))
    uid = control_plane.kubectl("get", "registrymapping", "kept", "-o", "jsonpath={.metadata.uid}")
    changed = {"webhook": {"replicaCount": 2, "timeoutSeconds": 2}, "image": {"tag": "1.2.3"}}
    release.upgrade(values=changed)
    webhooks = control_plane.kubectl_json("get", *REGISTRATION)["webhooks"]
    assert [each["clientConfig"]["caBundle"] for each in webhooks] == [published] * 2
    assert [each["timeoutSeconds"] for each in webhooks] == [2, 1]
    assert control_plane.kubectl_json("get", *CERTIFICATE)["data"] == {"ca.crt": published}
    assert deployment(control_plane, "sutler-webhook")["replicas"] == 2

    release.upgrade(values={**changed, "crds": {"enabled": False}})
    release.uninstall()
    assert control_plane.kubectl("get", "registrymapping", "kept", "-o", "jsonpath={.metadata.uid}") == uid
    left = control_plane.kubectl(
        "get", "deployments,secrets,clusterroles,mutatingwebhookconfigurations", "-A", "-l", MINE
    )
    assert left == ""
    # Again, with the CRDs that it finds.
    release.install()
    assert control_plane.kubectl("get", "registrymapping", "kept", "-o", "jsonpath={.metadata.uid}") == uid
    release.uninstall()


@pytest.mark.long
def test_installation_by_kustomize_is_taken_over(control_plane: ControlPlane, release: Release) -> None:
    control_plane.kubectl("apply", "-f", str(MANIFESTS / "crds"))
    control_plane.kubectl("apply", "-k", str(BASE))
    published = write_as_the_webhook_does(control_plane)
    try:
        release.install("--take-ownership")
        webhooks = control_plane.kubectl_json("get", *REGISTRATION)["webhooks"]
        assert [each["clientConfig"]["caBundle"] for each in webhooks] == [published] * 2
        assert differences(control_plane) == []
        # The API server has kubectl as an owner of each field, which helm 4 respects.
        forced = ["--force-conflicts"] if release.version == "4" else []
        release.upgrade(*forced, values={"webhook": {"replicaCount": 4}})
        assert deployment(control_plane, "sutler-webhook")["replicas"] == 4
    finally:
        release.uninstall()
        control_plane.kubectl("delete", "-k", str(BASE), "--ignore-not-found", "-l", "app.kubernetes.io/component")


def write_as_the_webhook_does(control_plane: ControlPlane) -> str:
    """Publish a CA in the registration and its Secret."""
    bundle = base64.b64encode((control_plane.state / "pki" / "ca.crt").read_bytes()).decode()
    operation = [{"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle} for index in (0, 1)]
    control_plane.kubectl("patch", *REGISTRATION, "--type=json", "-p", json.dumps(operation))
    control_plane.kubectl("patch", *CERTIFICATE, "-p", json.dumps({"data": {"ca.crt": bundle}}))
    return bundle


def differences(control_plane: ControlPlane) -> list[str]:
    """Lines that applying the base would change, but for the namespace, which is no part of a release."""
    command = ["kubectl", f"--kubeconfig={control_plane.kubeconfig}", "diff", "-k", str(BASE)]
    selected = ["--selector=app.kubernetes.io/component"]
    ran = subprocess.run([*command, *selected], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode in {0, 1}, ran.stderr
    return [line for line in ran.stdout.splitlines() if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}]


def deployment(control_plane: ControlPlane, name: str) -> Json:
    spec: Json = control_plane.kubectl_json("get", "deployment", name, "-n", NAMESPACE)["spec"]
    return spec
