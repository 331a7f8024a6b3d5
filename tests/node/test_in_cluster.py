"""The manifests as they are, on a real node: Sutler as Pods, its webhook by Service, each with its own account."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Ceph, ClusterError, ControlPlane, Place, Registry, dockerfile, needs, wait_for
from tests.docs.replay import replay
from tests.node.conftest import extra_image
from tests.node.pods import create, make_secret, run_pod, wait_reason, wait_running
from tests.node.shell import Shell

HOST = "registry.cn-hangzhou.aliyuncs.com"
OTHER_HOST = "registry.example.com"
OPTED_OUT = {"sutler.dev/inject": "false"}
MANIFESTS = Path(__file__).parents[2] / "manifests"
OWN = "sutler-system"
SUTLER_IMAGE = "docker.io/library/sutler:latest"  # what the manifests call "sutler"
POOL = "rbd"
# The test's Ceph answers on the loopback address alone; the Pod has to be where that is.
BESIDE_CEPH = {"spec": {"replicas": 1, "template": {"spec": {"hostNetwork": True}}}}
# The namespace's own label forbids that.
HOST_NETWORK_ALLOWED = "pod-security.kubernetes.io/enforce=privileged"
START_SECONDS = 120
# What a server is new enough for is what is installed there.
OVERLAY_SINCE = {"kubernetes": "1.30", "kubectl": "1.21"}

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
    """Installed by the guide, with a mapping, a StorageClass and what they need."""
    control_plane.kubectl("apply", "-f", str(MANIFESTS / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(MANIFESTS / "crds"))
    # Before the webhook, so that each of its Pods knows them when it is ready.
    control_plane.kubectl("apply", "-f", str(MANIFESTS / "examples" / "mappings.yaml"))
    folder = "base" if needs.lacking("it is the overlay for newer servers", **OVERLAY_SINCE) else "overlays/modern"
    control_plane.kubectl("apply", "-k", str(MANIFESTS / folder))
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
    """The configuration, and the keyring of a user with the caps of the guide."""
    conf, keyring = ceph.state / "in-cluster.conf", ceph.state / "in-cluster.keyring"
    conf.write_text(ceph.conf.read_text().replace(f"keyring = {ceph.state}/keyring", "keyring = /etc/ceph/keyring"))
    allowed = ["mon", "profile rbd", "osd", f"profile rbd pool={POOL}", "mgr", f"profile rbd pool={POOL}"]
    keyring.write_text(ceph.ceph("auth", "get-or-create", "client.sutler", *allowed))
    return [f"--from-file=ceph.conf={conf}", f"--from-file=keyring={keyring}"]


def wait_copied(control_plane: ControlPlane, namespace: str, name: str = "aliyun-hangzhou", but: str = "") -> str:
    """Wait for the copy of a pull secret; returns its data, which are to be others than `but`."""
    wanted = ("get", "secret", name, "-n", namespace, "--ignore-not-found", "-o", "jsonpath={.data}")

    def copied() -> str | None:
        data = control_plane.kubectl(*wanted)
        return data if data and data != but else None

    return wait_for(copied, "the copy of the pull secret")


def test_pod_of_a_private_registry_runs_without_naming_a_secret(control_plane: ControlPlane, namespace: str) -> None:
    wait_copied(control_plane, namespace)
    pod = run_pod(control_plane, namespace, f"{HOST}/xxxx/rbd-rest-api:latest")
    spec = control_plane.kubectl_json("get", "pod", pod, "-n", namespace)["spec"]
    assert spec["imagePullSecrets"] == [{"name": "aliyun-hangzhou"}]
    wait_running(control_plane, namespace, pod)


@pytest.mark.needs(kubernetes="1.35", containerd="2.1", why="older ones mount no image as a volume")
def test_private_image_as_a_volume_is_mounted_thanks_to_sutler_alone(
    control_plane: ControlPlane, shell: Shell, namespace: str
) -> None:
    wait_copied(control_plane, namespace)
    for name, annotations in {"without": OPTED_OUT, "with": dict[str, str]()}.items():
        volume = {"name": "data", "image": {"reference": f"{HOST}/xxxx/test:latest", "pullPolicy": "Always"}}
        mount = {"name": "data", "mountPath": "/data"}
        container = {"name": "application", "image": "sutler.test/extra:1", "imagePullPolicy": "Never"}
        spec = {"containers": [{**container, "volumeMounts": [mount]}], "volumes": [volume]}
        metadata = {"name": name, "annotations": annotations}
        create(control_plane, namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    wait_running(control_plane, namespace, "with")
    assert control_plane.kubectl("exec", "with", "-n", namespace, "--", "cat", "/data/www/index.html") == "it works\n"
    wait_reason(control_plane, namespace, "without", "ImagePullBackOff")
    found = {what: each["why"] for what, each in shell.doctor().items() if f"Pod {namespace}/" in what}
    assert found.keys() == {f"Pod {namespace}/without"}
    assert "mapping aliyun-hangzhou matches, but it opts out" in found[f"Pod {namespace}/without"]


@pytest.mark.needs(kubernetes="1.35", why="older kubelets give every Pod what another one has pulled")
def test_image_that_another_namespace_has_pulled_needs_the_credential_again(
    control_plane: ControlPlane, shell: Shell, namespace: str
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
        metadata = {"name": "alone", "annotations": OPTED_OUT}
        create(control_plane, second, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        wait_reason(control_plane, second, "alone", "ErrImageNeverPull")
        assert "but it opts out by the annotation" in shell.doctor()[f"Pod {second}/alone"]["why"]
    finally:
        control_plane.kubectl("delete", "namespace", first, second, "--ignore-not-found", "--wait=false")


@pytest.mark.needs(kubernetes="1.35", why="older kubelets keep no record of the credential that pulled an image")
def test_credential_that_changes_serves_new_pods_of_any_pull_policy(
    control_plane: ControlPlane, served: dict[str, Registry], namespace: str
) -> None:
    def set_password(password: str) -> None:
        control_plane.kubectl("delete", "secret", "example-credentials", "-n", OWN, "--ignore-not-found")
        make_secret(control_plane, OWN, "example-credentials", server=OTHER_HOST, user="Other", password=password)

    image, users = f"{OTHER_HOST}/yyyy/other:latest", served[OTHER_HOST].users
    set_password(users["Other"])
    before = wait_copied(control_plane, namespace, "example")
    wait_running(control_plane, namespace, run_pod(control_plane, namespace, image, policy="IfNotPresent"))
    served[OTHER_HOST].let_in({"Other": "Changed"})
    try:
        # Until the source has it too, the image on the node is still the Pod's, and a pull is refused.
        run_pod(control_plane, namespace, image, policy="Always", name="refused")
        wait_running(control_plane, namespace, run_pod(control_plane, namespace, image, policy="Never", name="early"))
        wait_reason(control_plane, namespace, "refused", "ErrImagePull")
        set_password("Changed")
        wait_copied(control_plane, namespace, "example", but=before)
        policies = ("IfNotPresent", "Never", "Always")
        pods = [run_pod(control_plane, namespace, image, policy=each, name=each.lower()) for each in policies]
        for pod in pods:
            wait_running(control_plane, namespace, pod)
    finally:
        served[OTHER_HOST].let_in(users)


@pytest.mark.needs(**OVERLAY_SINCE, why="older servers get other manifests")
def test_installation_of_the_overlay_for_newer_servers_is_found_to_be_right(
    control_plane: ControlPlane, shell: Shell
) -> None:
    configuration = control_plane.kubectl_json("get", "mutatingwebhookconfiguration", "sutler-webhook")
    assert all(webhook["matchConditions"] for webhook in configuration["webhooks"])
    found = json.loads(shell.type("sutler check-install -o json"))
    said = {f"{each['what']} {each['why']}".strip(): each["level"] for each in found}
    assert set(said.values()) <= {"ok", "note"}, said


def test_tutorial_shows_how_a_private_image_runs(control_plane: ControlPlane) -> None:
    """The tutorial begins without a mapping."""
    examples = str(MANIFESTS / "examples" / "mappings.yaml")
    control_plane.kubectl("delete", "-f", examples)
    try:
        replay("private-image.md", {"KUBECONFIG": str(control_plane.kubeconfig)})
    finally:
        control_plane.kubectl("apply", "-f", examples)


def test_tutorial_shows_how_a_claim_is_bound(control_plane: ControlPlane, ceph: Ceph) -> None:
    replay("claim.md", {"KUBECONFIG": str(control_plane.kubeconfig), "CEPH_CONF": str(ceph.conf)})


def test_support_dump_has_the_logs_of_every_pod_and_no_credential(
    control_plane: ControlPlane, shell: Shell, ceph: Ceph, tmp_path: Path
) -> None:
    shell.type(f"sutler support-dump {tmp_path / 'dump'}")
    pods = control_plane.kubectl_json("get", "pods", "-n", OWN)["items"]
    logs = {path.parent.name: path.read_text() for path in (tmp_path / "dump" / "logs").rglob("*.log")}
    assert logs.keys() == {pod["metadata"]["name"] for pod in pods}
    assert {pod: text for pod, text in logs.items() if '"event"' not in text} == {}
    versions = json.loads((tmp_path / "dump" / "versions.json").read_text())
    assert {each["process"] for each in versions["processes"]} == {"webhook", "secrets", "volumes", "api"}
    assert {each["ready"] for each in versions["processes"]} == {True}
    everything = "\n".join(path.read_text() for path in (tmp_path / "dump").rglob("*.*") if path.is_file())
    key = ceph.ceph("auth", "get-key", "client.sutler").strip()
    assert not any(
        secret in everything for secret in (key, "Password", base64.b64encode(b"UserName:Password").decode())
    )


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
