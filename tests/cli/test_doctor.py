"""`sutler doctor` on a real API server. There is no kubelet: the tests write a Pod's status as it would."""

import json
from pathlib import Path

from tests.cli.conftest import Sutler
from tests.cluster import ControlPlane

DENIED = "rpc error: code = Unknown desc = failed to pull: unexpected status: 401 Unauthorized"


def pod_that_waits(
    control_plane: ControlPlane, namespace: str, image: str, *secrets: str, message: str = DENIED
) -> None:
    spec = {"containers": [{"name": "c", "image": image}], "imagePullSecrets": [{"name": name} for name in secrets]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": namespace}, "spec": spec}
    made = control_plane.kubectl_json("create", "-f", "-", input=json.dumps(pod))
    waiting = {"waiting": {"reason": "ErrImagePull", "message": message}}
    status = {"name": "c", "state": waiting, "ready": False, "restartCount": 0, "image": image, "imageID": ""}
    made["status"] = {"phase": "Pending", "containerStatuses": [status]}
    path = f"/api/v1/namespaces/{namespace}/pods/web/status"
    control_plane.kubectl("replace", "--raw", path, "-f", "-", input=json.dumps(made))


def add(sutler: Sutler, server: str, name: str) -> None:
    arguments = ("--username", "UserName", "--password-stdin", "--name", name, "--namespaces", "team=a")
    assert sutler("registry", "add", server, *arguments, stdin="Password").status == 0


def findings(sutler: Sutler, team: str) -> dict[str, str]:
    """What is wrong, and why."""
    ran = sutler("doctor", "-n", team, "-o", "json")
    assert ran.status == 1, ran.out
    return {found["what"]: found["why"] for found in ran.json}


def test_pod_made_without_the_webhook_is_found(sutler: Sutler, control_plane: ControlPlane, team: str) -> None:
    add(sutler, "quay.io/acme", "acme")
    pod_that_waits(control_plane, team, "quay.io/acme/app")
    found = findings(sutler, team)
    assert "it lacks pull secret acme of mapping acme" in found[f"Pod {team}/web"]
    assert "does not run" in found["The secrets controller"]
    assert "no copy" in found["Mapping acme"]


def test_refused_credential_is_found(sutler: Sutler, control_plane: ControlPlane, team: str) -> None:
    add(sutler, "quay.io/acme", "acme")
    arguments = ("--docker-server=quay.io/acme", "--docker-username=UserName", "--docker-password=hunter2")
    control_plane.kubectl("create", "secret", "docker-registry", "acme", "-n", team, *arguments)
    pod_that_waits(control_plane, team, "quay.io/acme/app", "acme")
    found = findings(sutler, team)
    assert "the registry rejects the credential quay.io/acme of Secret acme" in found[f"Pod {team}/web"]
    assert "not Sutler's and conflicts with mapping acme" in found[f"Secret {team}/acme"]


def test_unmatched_image_is_found_in_the_whole_cluster(sutler: Sutler, control_plane: ControlPlane, team: str) -> None:
    add(sutler, "quay.io/other", "other")
    pod_that_waits(control_plane, team, "quay.io/acme/app")
    ran = sutler("doctor")
    assert ran.status == 1
    assert f"Pod {team}/web cannot pull quay.io/acme/app: no mapping matches it" in ran.out
    assert "$ sutler registry add quay.io/acme --username NAME --password-stdin" in ran.out
    assert "Mapping other matches no existing Pod" in ran.out


def test_doctor_changes_nothing(sutler: Sutler, control_plane: ControlPlane, team: str) -> None:
    """The API server's own log of who did what says so."""
    add(sutler, "quay.io/acme", "acme")
    pod_that_waits(control_plane, team, "quay.io/acme/app")
    before = _writes(control_plane)
    assert before, "what it does is there to be seen"
    findings(sutler, team)
    assert _writes(control_plane) == before


def test_cluster_without_sutler_is_reported(
    environ: dict[str, str], control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Where nothing is known by this name: below a path of the API server at which there is nothing at all."""
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(
        control_plane.kubeconfig.read_text().replace(control_plane.url, f"{control_plane.url}/nothing")
    )
    ran = Sutler({**environ, "KUBECONFIG": str(elsewhere)})("doctor")
    assert ran.status == 1
    assert "Sutler is not installed" in ran.err


def _writes(control_plane: ControlPlane) -> int:
    """How many requests of the command's other than reads the API server has logged."""
    lines = control_plane.audit_log.read_text().splitlines()
    return sum(json.loads(line)["userAgent"].startswith("sutler-cli") for line in lines)
