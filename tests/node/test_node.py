"""The seed's story on a real node: an image from a private registry, with and without its pull secret."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import ClusterError, ControlPlane, Place, Registry, cgroups, images, wait_for
from tests.cluster.node import Node

HOST = "registry.cn-hangzhou.aliyuncs.com"
OTHER_HOST = "registry.example.com"

pytestmark = pytest.mark.usefixtures("able_machine", "node")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Place.namespace() as place:
        yield place


@pytest.fixture(scope="module")
def control_plane(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    started = ControlPlane(tmp_path_factory.mktemp("kubernetes"), place)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def registries(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Two private registries, each with a user that the other one doesn't know."""
    archive = images.write_image(tmp_path_factory.mktemp("images") / "application.tar")
    users = {HOST: {"UserName": "Password"}, OTHER_HOST: {"Other": "Secret"}}
    started = {host: Registry(tmp_path_factory.mktemp(host), place, known) for host, known in users.items()}
    try:
        for registry in started.values():
            registry.start()
            registry.push("xxxx/rbd-rest-api:latest", archive)
        yield {host: registry.port for host, registry in started.items()}
    finally:
        for registry in started.values():
            registry.stop()


@pytest.fixture(scope="module")
def node(
    control_plane: ControlPlane, registries: dict[str, int], place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    extra = images.write_image(tmp_path_factory.mktemp("extra") / "extra.tar", "sutler.test/extra:1")
    state = tmp_path_factory.mktemp("node")
    with Node(control_plane, state, place, registries=registries, archives=[extra], proxy=True) as node:
        yield node


def run_pod(control_plane: ControlPlane, namespace: str, image: str, *secrets: str, policy: str = "Always") -> str:
    name = image.rpartition("/")[2].partition(":")[0]
    spec = {
        "containers": [{"name": "application", "image": image, "imagePullPolicy": policy}],
        "imagePullSecrets": [{"name": secret} for secret in secrets],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(pod))
    return name


def make_secret(control_plane: ControlPlane, namespace: str, server: str, user: str, password: str) -> str:
    control_plane.kubectl(
        *("create", "secret", "docker-registry", user.lower(), "-n", namespace, f"--docker-server={server}"),
        *(f"--docker-username={user}", f"--docker-password={password}"),
    )
    return user.lower()


def container_state(control_plane: ControlPlane, namespace: str, pod: str) -> dict[str, Any]:
    status = control_plane.kubectl_json("get", "pod", pod, "-n", namespace)["status"]
    statuses = status.get("containerStatuses", [{"state": {}}])
    state: dict[str, Any] = statuses[0]["state"]
    return state


def wait_running(control_plane: ControlPlane, namespace: str, pod: str) -> None:
    wait_for(lambda: "running" in container_state(control_plane, namespace, pod), f"Pod {pod} to run", 60)


def wait_reason(control_plane: ControlPlane, namespace: str, pod: str, reason: str) -> str:
    def message() -> str | None:
        waiting = container_state(control_plane, namespace, pod).get("waiting", {})
        return waiting.get("message") or reason if waiting.get("reason") == reason else None

    return wait_for(message, f"Pod {pod} in {reason}", 60)


def test_pod_without_a_secret_fails_to_pull_and_backs_off(control_plane: ControlPlane, namespace: str) -> None:
    pod = run_pod(control_plane, namespace, f"{HOST}/xxxx/rbd-rest-api:latest")
    said = wait_reason(control_plane, namespace, pod, "ErrImagePull")
    assert re.search(rf"pulling from host {HOST}:\d+ failed.*401 Unauthorized", said)
    wait_reason(control_plane, namespace, pod, "ImagePullBackOff")


def test_pod_with_the_secret_of_its_repository_runs(control_plane: ControlPlane, namespace: str) -> None:
    secret = make_secret(control_plane, namespace, f"{HOST}/xxxx/rbd-rest-api", "UserName", "Password")
    pod = run_pod(control_plane, namespace, f"{HOST}/xxxx/rbd-rest-api:latest", secret)
    wait_running(control_plane, namespace, pod)
    said = control_plane.kubectl(*("exec", pod, "-n", namespace, "--", "wget", "-q", "-O-", "http://127.0.0.1:8080/"))
    assert said == "it works\n"


def test_secret_of_one_registry_does_not_open_the_other(control_plane: ControlPlane, namespace: str) -> None:
    secret = make_secret(control_plane, namespace, OTHER_HOST, "UserName", "Password")
    refused = run_pod(control_plane, namespace, f"{OTHER_HOST}/xxxx/rbd-rest-api:latest", secret)
    wait_reason(control_plane, namespace, refused, "ErrImagePull")
    control_plane.kubectl("delete", "pod", refused, "-n", namespace, "--force", "--grace-period=0")
    right = make_secret(control_plane, namespace, OTHER_HOST, "Other", "Secret")
    wait_running(
        control_plane, namespace, run_pod(control_plane, namespace, f"{OTHER_HOST}/xxxx/rbd-rest-api:latest", right)
    )


def test_pod_of_an_imported_image_reaches_the_api_server_at_its_service(
    control_plane: ControlPlane, namespace: str
) -> None:
    pod = run_pod(control_plane, namespace, "sutler.test/extra:1", policy="Never")
    wait_running(control_plane, namespace, pod)
    connect = "nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null && echo reached"
    assert control_plane.kubectl("exec", pod, "-n", namespace, "--", "sh", "-c", connect) == "reached\n"


def test_api_server_reaches_a_pod_through_its_service(control_plane: ControlPlane, namespace: str) -> None:
    """As it must for a webhook that is registered by Service."""
    pod = run_pod(control_plane, namespace, "sutler.test/extra:1", policy="Never")
    wait_running(control_plane, namespace, pod)
    control_plane.kubectl("label", "pod", pod, "-n", namespace, "app=served")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "served"},
        "spec": {"selector": {"app": "served"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(service))

    def answer() -> str | None:
        path = f"/api/v1/namespaces/{namespace}/services/served:80/proxy/"
        with contextlib.suppress(ClusterError):  # no endpoints yet
            return control_plane.kubectl("get", "--raw", path)
        return None

    assert wait_for(answer, "the Service to have endpoints") == "it works\n"


def test_stopped_node_leaves_nothing_behind(node: Node, control_plane: ControlPlane, place: Place) -> None:
    """Last in this module: it ends the node."""
    lived = cgroups.inhabitants(node.cgroup)
    assert len(lived) >= 3
    node.stop()
    assert not [pid for pid in lived if Path("/proc", str(pid)).exists()]
    assert not cgroups.existing(node.cgroup)
    assert str(node.state) not in Path("/proc/self/mountinfo").read_text()
    assert control_plane.kubectl("get", "nodes", "-o", "name") == ""
    links = subprocess.run([*place.prefix, "ip", "-json", "link"], capture_output=True, check=True, timeout=10).stdout
    assert [link["ifname"] for link in json.loads(links)] == ["lo"]
