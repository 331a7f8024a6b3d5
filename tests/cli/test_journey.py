"""The life of a registry, with the real webhook and secrets controller beside the command."""

import base64
import json
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Sutler
from tests.cluster import ControlPlane, Place, Registry, wait_for
from tests.cluster.installation import NAMESPACE, Installation

NAME = "journey"
"""No other test leaves Secrets of this name."""


@pytest.fixture
def installed(control_plane: ControlPlane, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The part of Sutler that is about pull secrets; Ceph is not started."""
    state = tmp_path_factory.mktemp("sutler")
    installation = Installation(control_plane, None, place, state)
    try:
        installation.apply()
        installation.run("webhook")
        installation.run("secrets")
        yield
    finally:
        installation.stop()


@pytest.fixture
def platform(environ: dict[str, str], control_plane: ControlPlane, installed: None) -> Iterator[Sutler]:
    del installed
    yield Sutler({**environ, "KUBECONFIG": str(control_plane.kubeconfig)})
    control_plane.kubectl("delete", "registrymappings", "--all")


def password_in(control_plane: ControlPlane, namespace: str, name: str) -> str | None:
    """In the copy there; None: there is no copy."""
    found = control_plane.kubectl("get", "secret", name, "-n", namespace, "-o", "json", "--ignore-not-found")
    if not found:
        return None
    (entry,) = json.loads(base64.b64decode(json.loads(found)["data"][".dockerconfigjson"]))["auths"].values()
    return base64.b64decode(entry["auth"]).decode().partition(":")[2]


def test_registry_is_added_used_rotated_examined_and_taken_away(
    platform: Sutler, control_plane: ControlPlane, namespace: str, registry: Registry
) -> None:
    selector = f"kubernetes.io/metadata.name in ({namespace})"
    control_plane.kubectl("label", "namespace", namespace, f"kubernetes.io/metadata.name={namespace}", "--overwrite")
    add = ("registry", "add", f"{registry.host}/team", "--username", "UserName", "--password-stdin", "--name", NAME)

    # A wrong password at first, which `check` reports.
    added = platform(*add, "--namespaces", selector, "-o", "json", stdin="hunter2")
    assert added.json["selectedNamespaces"] == 1, added.err
    wait_for(lambda: password_in(control_plane, namespace, NAME) == "hunter2", "the copy")
    assert platform("registry", "check", NAME).status == 1

    # Rotation: the same command once more.
    assert platform(*add, stdin="Password").status == 0
    wait_for(lambda: password_in(control_plane, namespace, NAME) == "Password", "the rotated copy")
    assert platform("registry", "check", NAME).status == 0
    assert platform("registry", "check", NAME, "-n", namespace).status == 0
    wait_for(lambda: platform("registry", "list", "-o", "json").json[0]["ready"] == "True", "the mapping to be Ready")

    # A Pod gets it, as `explain` says, and then the doctor is content.
    image = f"{registry.host}/team/app:1"
    said = platform("explain", image, "-n", namespace, "-o", "json")
    assert said.status == 0
    assert [each["key"] for each in said.json[0]["tries"]] == [f"{registry.host}/team"]
    control_plane.kubectl("run", "web", f"--image={image}", "-n", namespace, "--restart=Never")
    pod = control_plane.kubectl_json("get", "pod", "web", "-n", namespace)
    assert pod["spec"]["imagePullSecrets"] == [{"name": NAME}]
    healthy = platform("doctor")
    assert (healthy.status, healthy.out) == (0, "No problems found.\n")

    # And away with it: mapping, source and copy.
    assert platform("registry", "remove", NAME).status == 0
    wait_for(lambda: password_in(control_plane, namespace, NAME) is None, "the copy to go")
    assert f"{NAME}-credentials" not in control_plane.kubectl("get", "secrets", "-n", NAMESPACE, "-o", "name")
