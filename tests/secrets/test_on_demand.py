"""Copies on demand, on a real API server: made where a Pod names them, gone when no Pod does."""

import json
import random
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for
from tests.conftest import REPOSITORY
from tests.secrets.conftest import QUICK, Cluster
from tests.secrets.objects import OWN, auth, config

Json = dict[str, Any]

UNUSED_SECONDS = 3
ROLE = REPOSITORY / "manifests" / "components" / "copies-on-demand" / "rbac.yaml"
ABSENCE_SECONDS = 30.0
"""A Pod without its Secret for so long is left without it."""


@pytest.fixture(scope="module")
def collecting(
    control_plane: ControlPlane, account: Path, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SutlerProcess]:
    """A controller that may see Pods, and whose unused copies go after seconds."""
    control_plane.kubectl("apply", "-f", str(ROLE))
    argv = ["provisioner", "secrets", "--namespace", OWN, "--log-level", "debug", *QUICK]
    argv += ["--unused-copies-after", str(UNUSED_SECONDS)]
    process = SutlerProcess(argv, account, place, tmp_path_factory.mktemp("on-demand"))
    process.start()
    yield process
    process.stop()
    control_plane.kubectl("delete", "-f", str(ROLE))


@pytest.fixture
def cluster(control_plane: ControlPlane, collecting: SutlerProcess) -> Iterator[Cluster]:  # noqa: ARG001 - it acts
    made = Cluster(control_plane)
    yield made
    made.clean()


def on_demand(cluster: Cluster, suffix: str, **pull: Any) -> str:
    source = cluster.source(f"{suffix}-source", config(quay__io=auth("u", "p")))
    name = cluster.mapping(suffix, copy_from=source)
    patch = {"spec": {"pullSecret": {"copies": "OnDemand", **pull}}}
    cluster.control_plane.kubectl("patch", "registrymapping", name, "--type=merge", "-p", json.dumps(patch))
    return name


def create_pod(cluster: Cluster, namespace: str, secret: str, name: str = "waits") -> str:
    """No node runs it: it stays Pending."""
    spec = {"containers": [{"name": "a", "image": "quay.io/a"}], "imagePullSecrets": [{"name": secret}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    cluster.control_plane.kubectl("create", "-f", "-", input=json.dumps(pod))
    return name


def finish(cluster: Cluster, namespace: str, pod: str, phase: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/status"
    found = cluster.control_plane.kubectl_json("get", "pod", pod, "-n", namespace)
    body = json.dumps({**found, "status": {"phase": phase}})
    cluster.control_plane.kubectl("replace", "--raw", path, "-f", "-", input=body)


def test_copy_is_made_where_a_pod_names_it_and_nowhere_else(cluster: Cluster) -> None:
    named, other = cluster.namespace("named"), cluster.namespace("other")
    secret = on_demand(cluster, "demand")
    cluster.wait_for_reason(secret, "Synced")
    create_pod(cluster, named, secret)
    cluster.copied(named, secret)
    assert cluster.secret(other, secret) is None
    wait_for(lambda: cluster.condition(secret)["namespaces"].get("needed") == 1, "the status to count it")


def test_copy_that_a_running_pod_names_stays_and_goes_when_that_has_finished(cluster: Cluster) -> None:
    namespace = cluster.namespace("runs")
    secret = on_demand(cluster, "collected")
    pod = create_pod(cluster, namespace, secret)
    cluster.copied(namespace, secret)
    finish(cluster, namespace, pod, "Running")
    with pytest.raises(TimeoutError):
        wait_for(lambda: cluster.secret(namespace, secret) is None, "never", timeout=3 * UNUSED_SECONDS)
    finish(cluster, namespace, pod, "Succeeded")
    # It is checked every ten minutes, and at each change of its mapping.
    wait_for(lambda: check_again(cluster, namespace, secret), "the copy to go", timeout=60)


def check_again(cluster: Cluster, namespace: str, secret: str) -> bool:
    """Has the controller check the copy. Returns whether it is gone."""
    note = {"spec": {"pullSecret": {"annotations": {"example.com/check": secrets.token_hex(4)}}}}
    cluster.control_plane.kubectl("patch", "registrymapping", secret, "--type=merge", "-p", json.dumps(note))
    return cluster.secret(namespace, secret) is None


def test_namespace_that_says_so_gets_all_copies_at_once(cluster: Cluster) -> None:
    namespace = cluster.namespace("eager")
    secret = on_demand(cluster, "labelled")
    cluster.control_plane.kubectl("label", "namespace", namespace, "sutler.dev/copies=eager")
    cluster.copied(namespace, secret)


def test_copies_carry_the_labels_and_annotations_of_their_mapping(cluster: Cluster) -> None:
    namespace = cluster.namespace("dressed")
    secret = on_demand(cluster, "dressed", copies="Eager", labels={"team": "a"}, annotations={"example.com/x": "y"})
    wait_for(
        lambda: ((cluster.secret(namespace, secret) or {}).get("metadata", {}).get("labels") or {}).get("team") == "a",
        "the label",
    )
    empty = {"spec": {"pullSecret": {"labels": None, "annotations": None}}}
    cluster.control_plane.kubectl("patch", "registrymapping", secret, "--type=merge", "-p", json.dumps(empty))
    wait_for(lambda: "team" not in cluster.copied(namespace, secret)["metadata"]["labels"], "the label to go")


def test_pod_that_came_while_the_controller_was_away_gets_its_copy(cluster: Cluster, collecting: SutlerProcess) -> None:
    namespace = cluster.namespace("away")
    secret = on_demand(cluster, "away")
    cluster.wait_for_reason(secret, "Synced")
    collecting.stop()
    create_pod(cluster, namespace, secret)
    collecting.start()
    cluster.copied(namespace, secret)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("sides", "rounds"), [(4, 1), pytest.param(8, 25, marks=pytest.mark.long)])
def test_no_pod_is_left_without_its_secret_when_it_comes_while_that_is_collected(
    cluster: Cluster, sides: int, rounds: int
) -> None:
    """Races in several namespaces side by side, each with a mapping of its own."""
    races = [
        Race(cluster, cluster.namespace(f"race-{side}"), on_demand(cluster, f"race-{side}"), 0.0 if side else 30.0)
        for side in range(sides)
    ]
    with ThreadPoolExecutor(sides) as pool:
        list(pool.map(lambda race: race.run(rounds), races))
    collected = sum(race.collected for race in races)
    longest = max(race.longest_absence for race in races)
    print(f"{sides * rounds} races, {collected} copies collected, none for {longest:.2f} s at most after the Pod came")
    assert collected, "no race was one"


class Race:
    """A Pod is created at the moment at which an unused copy is collected."""

    def __init__(self, cluster: Cluster, namespace: str, secret: str, patience: float) -> None:
        self.collected = 0
        self.longest_absence = 0.0
        self._cluster = cluster
        self._namespace = namespace
        self._secret = secret
        self._patience = patience
        """Seconds until the first Pod comes, though the copy may still be there; later ones come at random moments."""

    def run(self, rounds: int) -> None:
        for number in range(rounds):
            before = self._create_pod(f"first-{number}")
            time.sleep(UNUSED_SECONDS)  # from about now on the copy may be collected
            with ThreadPoolExecutor(1) as checks:
                latest = time.monotonic() + self._patience
                gone = checks.submit(check_again, self._cluster, self._namespace, self._secret)
                while time.monotonic() < latest and self._cluster.secret(self._namespace, self._secret):
                    if gone.done():
                        gone = checks.submit(check_again, self._cluster, self._namespace, self._secret)
                    time.sleep(0.02)
                after = self._create_pod(f"next-{number}")
            self.collected += before != after
            self._patience = random.uniform(0.0, 2.0)  # noqa: S311 - no secret

    def _create_pod(self, pod: str) -> str:
        """Returns the UID of the copy that it has in the end. The Pod is deleted again."""
        create_pod(self._cluster, self._namespace, self._secret, pod)
        created = seen = time.monotonic()
        uid = ""
        # A collection that was decided before the Pod came would delete the copy within this second.
        while time.monotonic() < created + 1.0 or not uid:
            found = self._cluster.secret(self._namespace, self._secret)
            uid = found["metadata"]["uid"] if found else ""
            now = time.monotonic()
            self.longest_absence = max(self.longest_absence, now - seen)
            assert now - seen < ABSENCE_SECONDS, f"{self._namespace}/{pod} has no Secret"
            seen = now if found else seen
            time.sleep(0.05)
        force = ("--grace-period=0", "--force")
        self._cluster.control_plane.kubectl("delete", "pod", pod, "-n", self._namespace, *force)
        return str(uid)
