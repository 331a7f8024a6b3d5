"""The seed's story on a real node: an image from a private registry, with and without its pull secret."""

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cluster import ClusterError, ControlPlane, Place, cgroups, wait_for
from tests.cluster.node import Node
from tests.node.pods import create, make_secret, run_pod, wait_reason, wait_running

HOST = "registry.cn-hangzhou.aliyuncs.com"
OTHER_HOST = "registry.example.com"

# Short: test_in_cluster.py, whose Pods pull and are served on the same node.
pytestmark = [pytest.mark.usefixtures("able_machine", "node"), pytest.mark.long]


def test_pod_without_a_secret_fails_to_pull_and_backs_off(control_plane: ControlPlane, namespace: str) -> None:
    pod = run_pod(control_plane, namespace, f"{HOST}/xxxx/rbd-rest-api:latest")
    said = wait_reason(control_plane, namespace, pod, "ErrImagePull")
    # As containerd 1 says it, and 2.
    expected = (
        rf"pulling from host {HOST}:\d+ failed.*401 Unauthorized",
        r"authorization failed: no basic auth credentials",
    )
    assert any(re.search(pattern, said) for pattern in expected), said
    wait_reason(control_plane, namespace, pod, "ImagePullBackOff")


def test_pod_with_the_secret_of_its_repository_runs(control_plane: ControlPlane, namespace: str) -> None:
    make_secret(
        control_plane, namespace, "key", server=f"{HOST}/xxxx/rbd-rest-api", user="UserName", password="Password"
    )
    pod = run_pod(control_plane, namespace, f"{HOST}/xxxx/rbd-rest-api:latest", "key")
    wait_running(control_plane, namespace, pod)
    said = control_plane.kubectl("exec", pod, "-n", namespace, "--", "wget", "-q", "-O-", "http://127.0.0.1:8080/")
    assert said == "it works\n"


def test_secret_of_one_registry_does_not_open_the_other(control_plane: ControlPlane, namespace: str) -> None:
    make_secret(control_plane, namespace, "wrong", server=OTHER_HOST, user="UserName", password="Password")
    make_secret(control_plane, namespace, "right", server=OTHER_HOST, user="Other", password="Secret")
    refused = run_pod(control_plane, namespace, f"{OTHER_HOST}/xxxx/rbd-rest-api:latest", "wrong")
    wait_reason(control_plane, namespace, refused, "ErrImagePull")
    admitted = run_pod(control_plane, namespace, f"{OTHER_HOST}/xxxx/test:latest", "right")
    wait_running(control_plane, namespace, admitted)


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
    spec = {"selector": {"app": "served"}, "ports": [{"port": 80, "targetPort": 8080}]}
    create(
        control_plane,
        namespace,
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "served"}, "spec": spec},
    )

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
