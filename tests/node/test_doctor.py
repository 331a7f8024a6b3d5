"""`sutler doctor` and its fixes, with messages of a real kubelet and a real registry."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import ControlPlane, Place, wait_for
from tests.cluster.installation import NAMESPACE, Installation
from tests.node.pods import create, make_secret, run_pod, wait_running
from tests.node.shell import Shell

HOST = "registry.cn-hangzhou.aliyuncs.com"
OTHER_HOST = "registry.example.com"
BACK_OFF = 330
"""Seconds: a kubelet that failed to pull again and again waits for five minutes before it tries once more."""

pytestmark = [pytest.mark.usefixtures("able_machine", "node"), pytest.mark.timeout(900), pytest.mark.long]


@pytest.fixture
def installation(
    control_plane: ControlPlane, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Sutler without volumes. Its webhook is not there yet."""
    state = tmp_path_factory.mktemp("sutler")
    installed = Installation(control_plane, None, place, state)
    try:
        installed.apply()
        installed.run("secrets")
        yield installed
    finally:
        installed.stop()
        control_plane.kubectl("delete", "registrymappings", "--all")


def add(server: str, user: str, name: str) -> str:
    return f"sutler registry add {server} --username {user} --password-stdin --name {name}"


def pod_of(control_plane: ControlPlane, namespace: str, name: str, image: str) -> None:
    spec = {"containers": [{"name": "application", "image": image, "imagePullPolicy": "Always"}]}
    create(control_plane, namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def test_each_pod_that_cannot_pull_is_fixed_by_the_commands_of_the_doctor(
    control_plane: ControlPlane, installation: Installation, shell: Shell, namespace: str
) -> None:
    ours, theirs = f"{HOST}/xxxx/rbd-rest-api:latest", f"{OTHER_HOST}/xxxx/test:latest"
    make_secret(control_plane, namespace, "theirs", server="elsewhere.example.com", user="a", password="b")
    shell.type(add(f"{HOST}/xxxx", "UserName", "ours"), "Password")
    shell.type(add("unused.example.com", "UserName", "unused"), "Password")
    wait_for(
        lambda: control_plane.there(f"/api/v1/namespaces/{namespace}/secrets/ours"),
        "the copy",
    )

    # Without the webhook, and an image that no mapping matches.
    pod_of(control_plane, namespace, "early", ours)
    pod_of(control_plane, namespace, "unmatched", theirs)
    installation.run("webhook")
    # With it, a wrong password, and a pull secret that does not exist.
    bare = {"registries": [f"{OTHER_HOST}/yyyy"], "pullSecret": {"name": "by-hand"}, "namespaceSelector": {}}
    metadata = {"name": "by-hand"}
    create(
        control_plane,
        namespace,
        {"apiVersion": "sutler.dev/v1alpha1", "kind": "RegistryMapping", "metadata": metadata, "spec": bare},
    )
    wrong = add(f"{HOST}/yyyy", "UserName", "wrong")
    shell.type(wrong, "not this")
    wait_for(
        lambda: control_plane.there(f"/api/v1/namespaces/{namespace}/secrets/wrong"),
        "the copy",
    )
    pod_of(control_plane, namespace, "refused", f"{HOST}/yyyy/other:latest")
    pod_of(control_plane, namespace, "missing", f"{OTHER_HOST}/yyyy/other:latest")

    def all_reported() -> dict[str, dict[str, Any]] | None:
        found = shell.doctor()
        pods = [f"Pod {namespace}/{name}" for name in ("early", "unmatched", "refused", "missing")]
        return found if all(pod in found for pod in pods) and "401" in str(found[pods[2]]) else None

    found = wait_for(all_reported, "the doctor to have seen them all", 60)
    why = {what.rpartition("/")[2]: each["why"] for what, each in found.items()}
    assert "lacks pull secret ours of mapping ours: it was created while the webhook was down" in why["early"]
    assert "no mapping matches it" in why["unmatched"]
    assert "the registry rejects the credential" in why["refused"]
    assert "401 Unauthorized" in why["refused"]
    assert "Secret by-hand does not exist, and mapping by-hand copies none" in why["missing"]
    assert found["Mapping unused"]["level"] == "note"
    fixes = {what.rpartition("/")[2]: each["fix"] for what, each in found.items()}

    # Each as it is said, with the blanks filled in.
    shell.type(fixes["early"][0])
    shell.type(fixes["unmatched"][0].replace("NAME", "Other"), "Secret")
    shell.type(fixes["refused"][1].replace("NAME", "UserName"), "Password")
    make_secret(control_plane, namespace, "by-hand", server=OTHER_HOST, user="Other", password="Secret")
    younger = shell.doctor()[f"Pod {namespace}/unmatched"]
    assert "is older than mapping" in younger["why"]
    shell.type(younger["fix"][0])
    for pod in ("early", "unmatched", "refused", "missing"):
        wait_running(control_plane, namespace, pod, BACK_OFF)
    assert not any(what.startswith("Pod ") for what in shell.doctor())


def test_foreign_secret_that_conflicts_is_shown_by_the_fix(
    control_plane: ControlPlane, installation: Installation, shell: Shell, namespace: str
) -> None:
    make_secret(control_plane, namespace, "taken", server=OTHER_HOST, user="UserName", password="not this")
    installation.run("webhook")
    shell.type(add(OTHER_HOST, "Other", "taken"), "Secret")
    pod = run_pod(control_plane, namespace, f"{OTHER_HOST}/xxxx/test:latest")

    def reported() -> dict[str, dict[str, Any]] | None:
        found = shell.doctor()
        return found if f"Pod {namespace}/{pod}" in found and f"Secret {namespace}/taken" in found else None

    found = wait_for(reported, "the doctor to say so", 60)
    assert "is not Sutler's and conflicts with mapping taken" in found[f"Secret {namespace}/taken"]["why"]
    assert "Type: " in shell.type(found[f"Secret {namespace}/taken"]["fix"][0]), "it shows whose it is"
    control_plane.kubectl("delete", "secret", "taken", "-n", namespace)
    wait_running(control_plane, namespace, pod, BACK_OFF)
    owner = ("get", "secret", "taken", "-n", namespace, "-o", r"jsonpath={.metadata.labels.sutler\.dev/mapping}")
    assert control_plane.kubectl(*owner) == "taken"
    assert control_plane.kubectl("get", "secrets", "-n", NAMESPACE, "taken-credentials", "-o", "name")
