"""The last release is upgraded to the working tree and back while Pods and claims are created.

The steps are those of the guide: the definitions first, then each process. A Deployment's rolling update starts the new
Pod, waits until it is ready, and then ends an old one; here processes do the same.
"""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster import Ceph, ControlPlane, Place, release, wait_for
from tests.cluster.installation import NAMESPACE, Installation
from tests.system.conftest import ALIYUN, apply, ready_condition, registry_mapping

if TYPE_CHECKING:
    from tests.cluster.sutler import SutlerProcess

MAPPED = f"{ALIYUN}/xxxx/rbd-rest-api:latest"
LEASE = ("--lease-duration", "6", "--renew-deadline", "4", "--retry-period", "1")
PAUSE = 0.2
TIMEOUT = 30
"""Seconds. A busy machine must not look like a webhook that is not there: that refuses connections at once."""
SOME = 5
"""Pods or claims that each release has to serve."""

pytestmark = pytest.mark.skipif(release.last_release() is None, reason="the history has no release: git fetch --tags")


class Release:
    """The running processes of one source tree."""

    def __init__(self, installation: Installation, *, volumes: bool) -> None:
        self.installation = installation
        self._volumes = volumes
        self.running: list[SutlerProcess] = []

    def install(self) -> None:
        self.installation.apply()
        self._start(register=True)
        self.installation.register(self.running[0], TIMEOUT)

    def replace(self, old: "Release", *, definitions: bool) -> None:
        """The definitions and the permissions first; then new processes become ready, and old ones end."""
        self.installation.apply(upgrade=True, definitions=definitions)
        self._start(register=False)
        self.installation.register(self.running[0], TIMEOUT)
        for process in old.running:
            process.stop()
        old.running.clear()

    def _start(self, *, register: bool) -> None:
        started = [self.installation.launch("webhook", register=register), self.installation.launch("secrets", *LEASE)]
        started += [self.installation.launch_volumes()] if self._volumes else []
        for process in started:
            process.wait_ready()
        self.running = started


class Load:
    """Creates Pods, and claims where there is a class, until it is stopped; counts what each got."""

    def __init__(self, control_plane: ControlPlane, namespace: str, storage_class: str | None) -> None:
        self._control_plane = control_plane
        self._namespace = namespace
        self._class = storage_class
        self.pods: list[tuple[str, list[str]]] = []
        """Names with their pull secrets."""
        self.claims: list[str] = []
        self.failures: list[BaseException] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._work, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        assert self.failures == []

    def wait_more(self) -> None:
        pods, claims = len(self.pods) + SOME, len(self.claims) + (SOME if self._class else 0)
        wait_for(lambda: len(self.pods) >= pods and len(self.claims) >= claims, "more Pods and claims to be created")

    def _work(self, ended: threading.Event) -> None:
        while not ended.wait(PAUSE):
            try:
                self._create(f"load-{len(self.pods)}")
            except Exception as error:  # noqa: BLE001 - shown by the test
                self.failures.append(error)
                return

    def _create(self, name: str) -> None:
        self.pods.append((name, pull_secrets_of_new_pod(self._control_plane, self._namespace, name)))
        if self._class:
            path = f"/api/v1/namespaces/{self._namespace}/persistentvolumeclaims"
            self._control_plane.request("POST", path, claim(name, self._class))
            self.claims.append(name)


def pull_secrets_of_new_pod(control_plane: ControlPlane, namespace: str, name: str, query: str = "") -> list[str]:
    spec = {"containers": [{"name": "app", "image": MAPPED}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    made = control_plane.request("POST", f"/api/v1/namespaces/{namespace}/pods{query}", pod)
    return [each["name"] for each in made["spec"].get("imagePullSecrets", [])]


def claim(name: str, storage_class: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}
    named = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}
    return {**named, "spec": {**spec, "storageClassName": storage_class}}


@pytest.fixture(scope="module")
def last(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last release's tree."""
    commit = release.last_release()
    assert commit is not None
    return release.unpack(commit, tmp_path_factory.mktemp("release") / "tree")


@pytest.fixture
def stopped() -> Iterator[list[Installation]]:
    """Installations that end with the test."""
    installations: list[Installation] = []
    yield installations
    for one in installations:
        one.stop()


def test_pull_secrets_survive_an_upgrade_and_a_downgrade(
    control_plane: ControlPlane,
    place: Place,
    namespace: str,
    last: Path,
    tmp_path: Path,
    stopped: list[Installation],
) -> None:
    old = Release(Installation(control_plane, None, place, tmp_path / "old", source=last), volumes=False)
    new = Release(Installation(control_plane, None, place, tmp_path / "new"), volumes=False)
    stopped += [old.installation, new.installation]
    old.install()
    make_mapping(control_plane, namespace)
    load = Load(control_plane, namespace, None)
    with load.running():
        there_and_back(control_plane, namespace, old, new, load)
    assert [name for name, secrets in load.pods if secrets != ["aliyun-hangzhou"]] == []


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_pod_lacks_its_pull_secret_and_no_volume_is_lost(
    control_plane: ControlPlane,
    ceph: Ceph,
    pool: str,
    place: Place,
    namespace: str,
    last: Path,
    tmp_path: Path,
    stopped: list[Installation],
) -> None:
    old = Release(Installation(control_plane, ceph, place, tmp_path / "old", source=last), volumes=True)
    new = Release(Installation(control_plane, ceph, place, tmp_path / "new"), volumes=True)
    stopped += [old.installation, new.installation]
    old.install()
    make_mapping(control_plane, namespace)
    parameters = {"clusterID": "ceph", "pool": pool}
    named = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": pool}}
    apply(control_plane, {**named, "provisioner": "rbd.sutler.dev", "parameters": parameters})
    load = Load(control_plane, namespace, pool)
    with load.running():
        there_and_back(control_plane, namespace, old, new, load)
    assert [name for name, secrets in load.pods if secrets != ["aliyun-hangzhou"]] == []

    # Every claim of either release has its volume, and every volume its image; nothing else is in the pool.
    volumes = wait_for(lambda: bound(control_plane, namespace, set(load.claims)), "all claims to be Bound", 120)
    assert sorted(volumes.values()) == sorted(json.loads(ceph.rbd("ls", "--format=json", pool)))
    assert ceph.rbd("trash", "ls", pool) == ""

    # The old release, which runs now, deletes what either of them made.
    control_plane.kubectl("delete", "pvc", "--all", "-n", namespace)
    wait_for(lambda: ceph.rbd("ls", pool) == "", "all images to be removed", 120)
    wait_for(lambda: not [one for one in volumes if control_plane.there(path(one))], "the volumes to be deleted", 120)
    control_plane.kubectl("delete", "storageclass", pool)


def there_and_back(control_plane: ControlPlane, namespace: str, old: Release, new: Release, load: Load) -> None:
    copied = ("get", "secret", "aliyun-hangzhou", "-n", namespace, "-o", "jsonpath={.metadata.uid} {.data}")
    wait_for(lambda: len(load.pods) > SOME, "the first Pods")
    copy = wait_for(lambda: control_plane.kubectl(*copied, "--ignore-not-found"), "the copy of the pull secret")
    load.wait_more()
    began = time.monotonic()
    new.replace(old, definitions=True)
    print(f"upgraded in {time.monotonic() - began:.1f} s")
    load.wait_more()
    assert control_plane.kubectl(*copied) == copy, "the copy is the same object with the same content"
    # A field that the old release does not have.
    labelled = registry_mapping("acme", f"{ALIYUN}/xxxx/acme", copy_from="aliyun-credentials")
    labelled["spec"]["pullSecret"]["labels"] = {"team": "acme"}
    apply(control_plane, labelled)
    wait_for(lambda: ready_condition(control_plane, "acme").get("status") == "True", "mapping acme to be Ready")
    load.wait_more()
    began = time.monotonic()
    # The definitions stay: a mapping uses a field that the old ones lack.
    old.replace(new, definitions=False)
    print(f"went back in {time.monotonic() - began:.1f} s")
    load.wait_more()
    assert control_plane.kubectl(*copied) == copy
    stored = control_plane.kubectl_json("get", "registrymapping", "acme")
    assert stored["spec"]["pullSecret"]["labels"] == {"team": "acme"}, "the old release dropped nothing of the mapping"


def make_mapping(control_plane: ControlPlane, namespace: str) -> None:
    auth = {"auths": {f"{ALIYUN}/xxxx": {"auth": base64.b64encode(b"UserName:Password").decode()}}}
    source = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "aliyun-credentials", "namespace": NAMESPACE},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps(auth)},
    }
    apply(control_plane, source, registry_mapping("aliyun-hangzhou", f"{ALIYUN}/xxxx", copy_from="aliyun-credentials"))
    wait_for(lambda: ready_condition(control_plane, "aliyun-hangzhou")["status"] == "True", "the mapping to be Ready")
    wait_for(
        lambda: pull_secrets_of_new_pod(control_plane, namespace, "dry", "?dryRun=All"),
        "the webhook to know the mapping",
    )


def bound(control_plane: ControlPlane, namespace: str, names: set[str]) -> dict[str, str] | None:
    """The images of the claims' volumes by the volumes' names; None until all claims are Bound."""
    claims = control_plane.kubectl_json("get", "pvc", "-n", namespace)["items"]
    if {each["metadata"]["name"] for each in claims if each["status"]["phase"] == "Bound"} != names:
        return None
    volumes = [control_plane.there(path(each["spec"]["volumeName"])) for each in claims]
    return {each["metadata"]["name"]: each["spec"]["csi"]["volumeHandle"] for each in volumes}


def path(volume: str) -> str:
    return f"/api/v1/persistentvolumes/{volume}"
