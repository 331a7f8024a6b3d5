"""The manifests as they are, on a real node: Sutler as Pods, its webhook by Service, each with its own account."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Ceph, ClusterError, ControlPlane, Place, dockerfile, wait_for
from tests.node.conftest import extra_image
from tests.node.pods import create, make_secret, run_pod, wait_reason, wait_running

HOST = "registry.cn-hangzhou.aliyuncs.com"
MANIFESTS = Path(__file__).parents[2] / "manifests"
OWN = "sutler-system"
SUTLER_IMAGE = "docker.io/library/sutler:latest"  # what the manifests call "sutler"
POOL = "rbd"
# The test's Ceph answers on the loopback address alone; the Pod has to be where that is.
BESIDE_CEPH = {"spec": {"replicas": 1, "template": {"spec": {"hostNetwork": True}}}}
# The namespace's own label forbids that.
HOST_NETWORK_ALLOWED = "pod-security.kubernetes.io/enforce=privileged"
START_SECONDS = 120

pytestmark = [pytest.mark.usefixtures("able_machine", "node", "sutler"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sutler")
    return [dockerfile.write_archive(folder / "sutler.tar", SUTLER_IMAGE), extra_image(folder)]


@pytest.fixture(scope="module")
def ceph(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    started = Ceph(tmp_path_factory.mktemp("ceph"), place)
    started.start()
    started.pool(POOL)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def sutler(control_plane: ControlPlane, ceph: Ceph) -> None:
    """Installed as the README says, with a mapping, a StorageClass and what they need."""
    control_plane.kubectl("apply", "-f", str(MANIFESTS / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(MANIFESTS / "crds"))
    # Before the webhook, so that each of its Pods knows them when it is ready.
    control_plane.kubectl("apply", "-f", str(MANIFESTS / "examples" / "mappings.yaml"))
    control_plane.kubectl("apply", "-k", str(MANIFESTS / "base"))
    control_plane.kubectl("label", "namespace", OWN, "--overwrite", HOST_NETWORK_ALLOWED)
    control_plane.kubectl("patch", "deployment", "sutler-volumes", "-n", OWN, "-p", json.dumps(BESIDE_CEPH))
    control_plane.kubectl("create", "secret", "generic", "sutler-ceph", "-n", OWN, *ceph_files(ceph))
    make_secret(control_plane, OWN, "aliyun-credentials", server=f"{HOST}/xxxx", user="UserName", password="Password")
    for deployment in ("sutler-webhook", "sutler-secrets", "sutler-volumes", "sutler-api"):
        wait_available(control_plane, deployment)


def wait_available(control_plane: ControlPlane, deployment: str) -> None:
    """Wait for all of its Pods; a failure shows what they said."""
    wait = ["rollout", "status", f"deployment/{deployment}", "-n", OWN, f"--timeout={START_SECONDS}s"]
    try:
        control_plane.kubectl(*wait, timeout=START_SECONDS + 10)
    except ClusterError as error:
        component = ["-n", OWN, "-l", f"app.kubernetes.io/component={deployment.removeprefix('sutler-')}"]
        said = [control_plane.kubectl(*what, *component) for what in (["get", "pods"], ["logs"], ["describe", "pods"])]
        pytest.fail("\n".join([str(error), *said]), pytrace=False)


def ceph_files(ceph: Ceph) -> list[str]:
    """The configuration, and the keyring of a user who may do no more than the README says."""
    conf, keyring = ceph.state / "in-cluster.conf", ceph.state / "in-cluster.keyring"
    conf.write_text(ceph.conf.read_text().replace(f"keyring = {ceph.state}/keyring", "keyring = /etc/ceph/keyring"))
    allowed = ["mon", "profile rbd", "osd", f"profile rbd pool={POOL}", "mgr", f"profile rbd pool={POOL}"]
    keyring.write_text(ceph.ceph("auth", "get-or-create", "client.sutler", *allowed))
    return [f"--from-file=ceph.conf={conf}", f"--from-file=keyring={keyring}"]


def wait_copied(control_plane: ControlPlane, namespace: str) -> None:
    wanted = ("get", "secret", "aliyun-hangzhou", "-n", namespace, "--ignore-not-found")
    wait_for(lambda: control_plane.kubectl(*wanted), "the copy of the pull secret")


def test_pod_of_a_private_registry_runs_without_naming_a_secret(control_plane: ControlPlane, namespace: str) -> None:
    wait_copied(control_plane, namespace)
    pod = run_pod(control_plane, namespace, f"{HOST}/xxxx/rbd-rest-api:latest")
    spec = control_plane.kubectl_json("get", "pod", pod, "-n", namespace)["spec"]
    assert spec["imagePullSecrets"] == [{"name": "aliyun-hangzhou"}]
    wait_running(control_plane, namespace, pod)


@pytest.mark.needs(kubernetes="1.35", containerd="2.1", why="older ones mount no image as a volume")
def test_private_image_as_a_volume_is_mounted_thanks_to_sutler_alone(
    control_plane: ControlPlane, namespace: str
) -> None:
    wait_copied(control_plane, namespace)
    for name, annotations in {"without": {"sutler.dev/inject": "false"}, "with": dict[str, str]()}.items():
        volume = {"name": "data", "image": {"reference": f"{HOST}/xxxx/test:latest", "pullPolicy": "Always"}}
        mount = {"name": "data", "mountPath": "/data"}
        container = {"name": "application", "image": "sutler.test/extra:1", "imagePullPolicy": "Never"}
        spec = {"containers": [{**container, "volumeMounts": [mount]}], "volumes": [volume]}
        metadata = {"name": name, "annotations": annotations}
        create(control_plane, namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    wait_running(control_plane, namespace, "with")
    assert control_plane.kubectl("exec", "with", "-n", namespace, "--", "cat", "/data/www/index.html") == "it works\n"
    wait_reason(control_plane, namespace, "without", "ImagePullBackOff")


@pytest.mark.needs(kubernetes="1.35", why="older kubelets give every Pod what another one has pulled")
def test_image_that_another_namespace_has_pulled_needs_the_credential_again(
    control_plane: ControlPlane, namespace: str
) -> None:
    first, second = f"{namespace}-first", f"{namespace}-second"
    image = f"{HOST}/xxxx/rbd-rest-api:latest"
    try:
        for one in (first, second):
            control_plane.create_namespace(one)
            wait_copied(control_plane, one)
        wait_running(control_plane, first, run_pod(control_plane, first, image))
        wait_running(control_plane, second, run_pod(control_plane, second, image, policy="Never"))
        spec = {"containers": [{"name": "application", "image": image, "imagePullPolicy": "Never"}]}
        metadata = {"name": "alone", "annotations": {"sutler.dev/inject": "false"}}
        create(control_plane, second, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        wait_reason(control_plane, second, "alone", "ErrImageNeverPull")
    finally:
        control_plane.kubectl("delete", "namespace", first, second, "--ignore-not-found", "--wait=false")


def test_claim_is_bound_to_a_real_image(control_plane: ControlPlane, ceph: Ceph, namespace: str) -> None:
    name = {"metadata": {"name": "rbd"}}
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        **name,
        "provisioner": "rbd.sutler.dev",
        "parameters": {"clusterID": "ceph", "pool": POOL},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        **name,
        "spec": {
            "storageClassName": "rbd",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    create(control_plane, namespace, storage_class, claim)
    phase = ["get", "pvc", "rbd", "-n", namespace, "-o", "jsonpath={.status.phase}"]
    wait_for(lambda: control_plane.kubectl(*phase) == "Bound", "the claim to be Bound", 60)
    (image,) = ceph.rbd("ls", POOL).split()
    assert json.loads(ceph.rbd("info", f"{POOL}/{image}", "--format", "json"))["size"] == 1 << 30


def test_rest_api_serves_at_its_service_whom_the_cluster_lets_in(
    control_plane: ControlPlane, place: Place, namespace: str, tmp_path: Path
) -> None:
    """Ceph is out of its Pod's reach, which it says; the rest works: certificate, token, roles, its own rights."""
    control_plane.kubectl("create", "serviceaccount", "console", "-n", namespace)
    bound = ("--clusterrole=sutler-api-viewer", f"--serviceaccount={namespace}:console")
    control_plane.kubectl("create", "clusterrolebinding", namespace, *bound)
    token = yaml.safe_load(control_plane.kubeconfig_for(namespace, "console").read_text())["users"][0]["user"]["token"]
    stored = control_plane.kubectl(
        "get", "secret", "sutler-api-certificate", "-n", OWN, "-o", r"jsonpath={.data.ca\.crt}"
    )
    authority = tmp_path / "ca.crt"
    authority.write_bytes(base64.b64decode(stored))
    address = control_plane.kubectl("get", "service", "sutler-api", "-n", OWN, "-o", "jsonpath={.spec.clusterIP}")

    def ask(path: str, *headers: str) -> dict[str, Any]:
        host = f"sutler-api.{OWN}.svc"
        curl = ["curl", "-sS", "--cacert", authority, "--resolve", f"{host}:443:{address}", *headers]
        command = [*place.prefix, *map(str, curl), f"https://{host}{path}"]
        answer: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
        return answer

    shown = ask("/api/v1/kubernetes", "-H", f"Authorization: Bearer {token}")
    assert {"aliyun-hangzhou", "example"} == {mapping["name"] for mapping in shown["mappings"]}
    assert [one["working"] for one in shown["controllers"]] == [True, True]
    assert ask("/api/v1/kubernetes")["status"] == 401
    assert ask("/health") == {"status": "down"}
