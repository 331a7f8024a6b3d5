"""The secrets controller killed, frozen, cut off and doubled: it goes on where it was, and nothing is written twice."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sutler.typedefs import Json
from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for
from tests.secrets import objects
from tests.secrets.conftest import QUICK, Cluster
from tests.secrets.objects import OWN, auth, config

FIRST, SECOND = config(quay__io=auth("u", "first")), config(quay__io=auth("u", "second"))
NEW = {"quay.io": {"auth": auth("u", "second")}}
USER = "system:serviceaccount:sutler-system:sutler-secrets"


class Writes:
    """The controller's requests that changed Secrets, from the API server's own audit log."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._log = control_plane.audit_log
        self._begin = self._log.stat().st_size

    def __call__(self, prefix: str) -> list[tuple[str, str, int]]:
        """Verb, place and answer of each since this was made, in namespaces that begin so."""
        with self._log.open("rb") as log:
            log.seek(self._begin)
            entries = [json.loads(line) for line in log if line.endswith(b"\n")]
        return [
            (entry["verb"], f"{about['namespace']}/{about.get('name', '')}", entry["responseStatus"]["code"])
            for entry in entries
            if (about := entry.get("objectRef", {})).get("resource") == "secrets"
            and entry["user"]["username"] == USER
            and about.get("namespace", "").startswith(prefix)
        ]


@pytest.fixture
def start(account: Path, place: Place, tmp_path: Path) -> Iterator[Callable[[], SutlerProcess]]:
    """Starts controllers that are ended with the test."""
    started: list[SutlerProcess] = []

    def launch() -> SutlerProcess:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        argv = ["provisioner", "secrets", "--namespace", OWN, "--log-level", "debug", *QUICK]
        process = SutlerProcess(argv, account, place, folder)
        started.append(process)
        process.start()
        return process

    yield launch
    for process in started:
        process.resume()
        process.stop()


@pytest.fixture
def idle_cluster(control_plane: ControlPlane, account: Path) -> Iterator[Cluster]:  # noqa: ARG001 - the rights
    """Without a controller; the test starts its own."""
    made = Cluster(control_plane)
    yield made
    made.clean()


def all_synced(cluster: Cluster, mapping: str, number: int) -> None:
    counts = {"selected": number, "synced": number}
    wait_for(lambda: cluster.condition(mapping)["namespaces"] == counts, f"{number} copies of {mapping} in its status")


def leading(process: SutlerProcess) -> bool:
    return process.metrics().get('leader_election_master_status{name="sutler-secrets"}') == 1


def test_killed_controller_catches_up_and_writes_nothing_twice(
    idle_cluster: Cluster, start: Callable[[], SutlerProcess], control_plane: ControlPlane
) -> None:
    cluster = idle_cluster
    process = start()
    spaces = [cluster.namespace(f"n{number}") for number in range(4)]
    rotated = cluster.mapping("rotated", copy_from=cluster.source("a", FIRST))
    removed = cluster.mapping("removed", copy_from=cluster.source("b", FIRST))
    untouched = cluster.mapping("untouched", copy_from=cluster.source("c", FIRST))
    for mapping in (rotated, removed, untouched):
        cluster.wait_for_reason(mapping, "Synced")
    process.kill9()

    writes = Writes(control_plane)
    cluster.source("a", SECOND)
    cluster.unmap(removed)
    cluster.kubectl("delete", "secret", untouched, "-n", spaces[0])
    late = cluster.namespace("late")
    process.restart()

    for namespace in (*spaces, late):
        cluster.rotated(namespace, rotated, NEW)
        cluster.gone(namespace, removed)
        cluster.copied(namespace, untouched)
    all_synced(cluster, rotated, 5)
    all_synced(cluster, untouched, 5)
    expected = [
        *(("patch", f"{namespace}/{rotated}", 200) for namespace in spaces),
        *(("delete", f"{namespace}/{removed}", 200) for namespace in spaces),
        *(("create", f"{late}/{mapping}", 201) for mapping in (rotated, untouched)),
        ("create", f"{spaces[0]}/{untouched}", 201),
    ]
    assert sorted(writes(cluster.prefix)) == sorted(expected)


def test_start_where_all_is_well_writes_nothing(
    idle_cluster: Cluster, start: Callable[[], SutlerProcess], control_plane: ControlPlane
) -> None:
    cluster = idle_cluster
    process = start()
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(mapping, "Synced")
    before = cluster.control_plane.kubectl_json("get", "registrymapping", mapping)
    process.kill9()
    writes = Writes(control_plane)
    process.restart()
    wait_for(lambda: leading(process), "the lease")
    # What comes later has been seen: so has everything that was there.
    probe = cluster.mapping("probe", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(probe, "Synced")
    assert writes(cluster.prefix) == [("create", f"{namespace}/{probe}", 201)]
    assert cluster.control_plane.kubectl_json("get", "registrymapping", mapping) == before


def test_frozen_leader_is_replaced_and_changes_nothing_when_it_thaws(
    idle_cluster: Cluster, start: Callable[[], SutlerProcess], control_plane: ControlPlane
) -> None:
    cluster = idle_cluster
    first, second = start(), start()
    wait_for(lambda: leading(first) or leading(second), "a leader")
    frozen, other = (first, second) if leading(first) else (second, first)
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(mapping, "Synced")
    frozen.freeze()
    cluster.source("source", SECOND)
    cluster.rotated(namespace, mapping, NEW)
    assert leading(other)
    writes = Writes(control_plane)
    frozen.resume()
    wait_for(lambda: not leading(frozen), "the thawed one to see that it leads no more")
    probe = cluster.mapping("probe", copy_from=cluster.source("source", SECOND))
    cluster.wait_for_reason(probe, "Synced")
    assert writes(cluster.prefix) == [("create", f"{namespace}/{probe}", 201)]
    assert leading(other)


def test_restarted_api_server_is_followed(
    idle_cluster: Cluster, start: Callable[[], SutlerProcess], control_plane: ControlPlane
) -> None:
    cluster = idle_cluster
    start()
    namespace = cluster.namespace("one")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", FIRST))
    cluster.wait_for_reason(mapping, "Synced")
    control_plane.restart_apiserver()
    cluster.source("source", SECOND)
    late = cluster.namespace("late")
    for place in (namespace, late):
        cluster.rotated(place, mapping, NEW)


def test_one_poisoned_namespace_does_not_hold_up_the_others(
    idle_cluster: Cluster, start: Callable[[], SutlerProcess]
) -> None:
    """Foreign Secrets in many namespaces, and one where the copy belongs."""
    cluster = idle_cluster
    start()
    for number in range(10):
        theirs = objects.secret(cluster.name("pull"), FIRST, namespace=cluster.namespace(f"n{number}"))
        cluster.kubectl("create", "-f", "-", body=theirs)
    good = cluster.namespace("good")
    mapping = cluster.mapping("pull", copy_from=cluster.source("source", SECOND))
    cluster.copied(good, mapping)

    def complete() -> Json | None:
        ready = cluster.wait_for_reason(mapping, "Conflict")
        return ready if "and 7 more" in ready["message"] else None

    counted = wait_for(complete, "the condition to count all namespaces")["namespaces"]
    assert (counted["selected"], counted["synced"], len(counted["lacking"])) == (11, 1, 10)
