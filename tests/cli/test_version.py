"""`sutler version` with a cluster, with few rights in one, and without any."""

from pathlib import Path

from sutler.cli.version.versions import ServerVersions, as_json, as_text
from tests.cli.conftest import Run, Sutler
from tests.cluster import ControlPlane


def test_cluster_shows_its_own_version_and_the_kinds(sutler: Sutler, control_plane: ControlPlane) -> None:
    shown = sutler("version", "-o", "json").json
    assert shown["server"] == {"kubernetes": control_plane.request("GET", "/version")["gitVersion"]}
    crds = {crd["name"]: crd for crd in shown["crds"]}
    assert (
        crds["registrymappings.sutler.dev"]["served"] == crds["registrymappings.sutler.dev"]["stored"] == ["v1alpha1"]
    )
    assert (shown["problem"], shown["processes"], shown["unread"]) == (None, [], [])
    text = sutler("version").out
    assert "crd          registrymappings.sutler.dev v1alpha1\n" in text


def test_what_may_not_be_read_is_named_and_no_error(
    control_plane: ControlPlane, environ: dict[str, str], namespace: str
) -> None:
    stranger = {**environ, "KUBECONFIG": str(control_plane.kubeconfig_for(namespace, "default"))}
    ran = Sutler(stranger)("version", "--sutler-namespace", namespace)
    assert ran.status == 0
    assert "kubernetes   v1." in ran.out
    assert "unknown      CustomResourceDefinitions could not be read" in ran.out
    assert f"unknown      Pods of namespace {namespace} could not be read" in ran.out


def test_without_a_cluster_the_command_shows_its_own_and_why(offline: Run, environ: dict[str, str]) -> None:
    ran = offline("version", "-o", "json")
    assert ran.status == 0
    assert ran.json["client"]["version"]
    assert ran.json["server"] is None
    assert "does not exist" in ran.json["problem"]
    assert f"kubeconfig {Path(environ['KUBECONFIG'])} does not exist" in offline("version").out


def test_processes_show_the_images_that_run_and_not_those_that_are_wanted() -> None:
    pod = {
        "metadata": {"name": "sutler-webhook-1", "labels": {"app.kubernetes.io/component": "webhook"}},
        "spec": {"containers": [{"name": "webhook", "image": "sutler:2"}, {"name": "proxy", "image": "envoy"}]},
        "status": {
            "containerStatuses": [{"name": "webhook", "image": "sutler:1", "imageID": "sha256:a", "ready": True}]
        },
    }
    crd = {
        "metadata": {"name": "registrymappings.sutler.dev"},
        "spec": {"versions": [{"name": "v1alpha1", "served": True}, {"name": "v1beta1", "served": True}]},
        "status": {"storedVersions": ["v1alpha1"]},
    }
    server = ServerVersions("v1.37.2", [crd], [pod])
    first, second = as_json("1", server, "")["processes"]
    assert (first["image"], first["imageID"], first["ready"]) == ("sutler:1", "sha256:a", True)
    assert (second["image"], second["imageID"], second["ready"]) == ("envoy", "", False)
    text = as_text("1", server, "")
    assert "registrymappings.sutler.dev v1alpha1, v1beta1 (stored: v1alpha1)" in text
    assert "webhook   sutler-webhook-1   true    sutler:1" in text
