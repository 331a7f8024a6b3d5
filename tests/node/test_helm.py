"""A release of the chart on a real node: it passes its own test, is upgraded under Pods, and leaves data behind."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster import Ceph, ControlPlane, Place, dockerfile, wait_for
from tests.manifests.helm import Release
from tests.node.conftest import extra_image
from tests.node.pods import make_secret, run_pod, wait_running
from tests.node.shell import Shell
from tests.node.test_in_cluster import (
    HOST,
    HOST_NETWORK_ALLOWED,
    MANIFESTS,
    OWN,
    POOL,
    SUTLER_IMAGE,
    ceph_files,
    wait_available,
    wait_copied,
)

DEPLOYMENTS = ("sutler-webhook", "sutler-secrets", "sutler-volumes", "sutler-api")
# The test's Ceph is on the loopback address alone; there, an old and a new Pod can't have the same port.
BESIDE_CEPH = {
    "spec": {
        "strategy": {"type": "Recreate", "rollingUpdate": None},
        "template": {"spec": {"hostNetwork": True}},
    }
}
IMAGE = f"{HOST}/xxxx/rbd-rest-api:latest"

pytestmark = [
    pytest.mark.usefixtures("able_machine", "node"),
    pytest.mark.timeout(900),
    pytest.mark.needs(kubernetes="1.30", kubectl="1.21", why="the release has modern.enabled"),
    pytest.mark.long,
]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    folder = tmp_path_factory.mktemp("sutler")
    return [dockerfile.write_archive(folder / "sutler.tar", SUTLER_IMAGE), extra_image(folder)]


@pytest.fixture(scope="module")
def ceph(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    started = Ceph(tmp_path_factory.mktemp("ceph"), place)
    started.start()
    started.pool(POOL)
    yield started
    started.stop()


def test_release_lives_on_a_node(control_plane: ControlPlane, ceph: Ceph, shell: Shell, namespace: str) -> None:
    release = Release(control_plane.kubeconfig)
    values = {
        "modern": {"enabled": True},
        "volumes": {"replicaCount": 1},
        "test": {"namespace": namespace},
        "extraArgs": ["--log-level=debug"],
    }
    release.install(values=values)
    control_plane.kubectl("label", "namespace", OWN, "--overwrite", HOST_NETWORK_ALLOWED)
    control_plane.kubectl("patch", "deployment", "sutler-volumes", "-n", OWN, "-p", json.dumps(BESIDE_CEPH))
    control_plane.kubectl("create", "secret", "generic", "sutler-ceph", "-n", OWN, *ceph_files(ceph))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(MANIFESTS / "crds"))
    control_plane.kubectl("apply", "-f", str(MANIFESTS / "examples" / "mappings.yaml"))
    make_secret(control_plane, OWN, "aliyun-credentials", server=f"{HOST}/xxxx", user="UserName", password="Password")
    make_secret(
        control_plane, OWN, "example-credentials", server="registry.example.com", user="Other", password="Secret"
    )
    for deployment in DEPLOYMENTS:
        wait_available(control_plane, deployment)
    before = wait_copied(control_plane, namespace)
    assert installation(shell) <= {"ok", "note"}

    wait_for(lambda: "Succeeded" in release.test(), "the release to pass its test")
    found = ("get", "clusterroles,roles,rolebindings,serviceaccounts", "-A", "-l", "app.kubernetes.io/component=test")
    assert control_plane.kubectl(*found) == ""

    release.upgrade(values={**values, "webhook": {"timeoutSeconds": 2}, "podAnnotations": {"example.com/a": "b"}})
    for deployment in DEPLOYMENTS:
        wait_available(control_plane, deployment)
    assert installation(shell) <= {"ok", "note"}
    wait_running(control_plane, namespace, run_pod(control_plane, namespace, IMAGE))

    release.uninstall()
    pods = (
        "get",
        "pods",
        "-n",
        OWN,
        "-l",
        "app.kubernetes.io/component in (webhook,secrets,volumes,api)",
        "-o",
        "name",
    )
    wait_for(lambda: not control_plane.kubectl(*pods), "Sutler's Pods to end", 120)
    mappings = control_plane.kubectl_json("get", "registrymappings")["items"]
    assert {one["metadata"]["name"] for one in mappings} == {"aliyun-hangzhou", "example"}
    assert wait_copied(control_plane, namespace) == before
    assert control_plane.kubectl("get", "secret", "aliyun-credentials", "-n", OWN, "-o", "name")


def installation(shell: Shell) -> set[str]:
    return {each["level"] for each in json.loads(shell.type("sutler check-install -o json"))}
