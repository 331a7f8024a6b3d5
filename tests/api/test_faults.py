"""Responses while Ceph is stopped, and the recovery; with a Ceph cluster of its own, which is frozen."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.api.client import Api
from tests.api.conftest import Service
from tests.cluster import Ceph, Place, wait_for

TIMEOUT, DEADLINE = 2, 8
GRACE = 30
"""Seconds that Kubernetes gives a container to end after SIGTERM by default."""


@pytest.fixture(scope="module")
def impatient(place: Place, own_ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    flags = ("--ceph-timeout", str(TIMEOUT), "--deadline", str(DEADLINE), "--threads", "4")
    started = Service(place, own_ceph, tmp_path_factory.mktemp("api-faults"), *flags)
    started.start()
    yield started
    started.process.stop()


@pytest.fixture
def api(impatient: Service) -> Api:
    found = impatient.api
    wait_for(lambda: replace(found, base="").get("/health").status == 200, "the service to be well")
    return found


def ask_everything(api: Api) -> list[tuple[int, float]]:
    """Reads and changes, all at once, more than there are threads; status and seconds of each."""
    requests = [
        ("GET", "/pools/rbd/images", None),
        ("GET", "/pools/rbd/images/kept", None),
        ("POST", "/pools/rbd/images", {"name": "new", "size": "1Mi"}),
        ("PATCH", "/pools/rbd/images/kept", {"size": "64Mi"}),
        ("DELETE", "/pools/rbd/images/kept", None),
        ("POST", "/pools/rbd/images/kept/snapshots", {"name": "snap"}),
    ] * 3

    def timed(request: tuple[str, str, object]) -> tuple[int, float]:
        started = time.monotonic()
        answer = api.call(*request, timeout=60)
        if answer.status in {503, 504}:
            assert answer.headers["Retry-After"]
            assert answer.json["detail"]
        return answer.status, time.monotonic() - started

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(timed, requests))


@pytest.mark.parametrize("daemon", ["osd", "mon"])
def test_stopped_ceph_is_reported_in_time_and_recovers(
    api: Api, impatient: Service, own_ceph: Ceph, daemon: str
) -> None:
    api.post("/pools/rbd/images", {"name": "kept", "size": "8Mi"})
    process = getattr(own_ceph, daemon)
    process.freeze()
    try:
        for _ in range(2):
            answers = ask_everything(api)
            # The monitor is not needed by those who are connected already.
            if daemon == "osd":
                assert {status for status, _ in answers} <= {503, 504}
            assert max(seconds for _, seconds in answers) < DEADLINE + 4
        health = replace(api, base="", token=None)
        wait_for(lambda: health.get("/health").status == 503, "health to say so")
        assert api.get("/status").json["ceph"]["status"] == "down"
        assert impatient.process.ready(), "the service itself is well, and says what is not"
        assert impatient.process.probe("healthz")[0] == 200
    finally:
        process.resume()
    wait_for(lambda: health.get("/health").status == 200, "health to say that it is well again")

    def works() -> bool:
        return {api.get("/pools").status, api.get("/pools/rbd/images").status} == {200}

    wait_for(works, "requests to be answered again")
    # What was asked for meanwhile was done wholly or not at all, and can be asked for again.
    for image in api.get("/pools/rbd/images").json["images"]:
        assert image["unfinished"] is None or "delete it" in image["unfinished"]
    wait_for(lambda: removed(api, "new") and removed(api, "kept"), "both to be removable again")


def removed(api: Api, name: str) -> bool:
    for snapshot in (api.get(f"/pools/rbd/images/{name}/snapshots").json.get("snapshots")) or ():
        api.delete(f"/pools/rbd/images/{name}/snapshots/{snapshot['name']}")
    return api.delete(f"/pools/rbd/images/{name}", headers={"Prefer": "wait=20"}).status in {204, 404}


def test_service_starts_without_ceph_and_finds_it_later(
    place: Place, own_ceph: Ceph, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own_ceph.mon.freeze()
    flags = ("--ceph-timeout", str(TIMEOUT), "--deadline", str(DEADLINE))
    started = Service(place, own_ceph, tmp_path_factory.mktemp("api-early"), *flags)
    try:
        started.start()
        answer = started.api.get("/pools", timeout=30)
        assert answer.status in {503, 504}
        own_ceph.mon.resume()
        wait_for(lambda: started.api.get("/pools").status == 200, "the service to connect")
    finally:
        own_ceph.mon.resume()
        started.process.stop()


def test_stop_does_not_wait_for_hung_ceph_and_audits_interrupted_changes(
    place: Place, own_ceph: Ceph, tmp_path_factory: pytest.TempPathFactory
) -> None:
    started = Service(place, own_ceph, tmp_path_factory.mktemp("api-stop"), "--ceph-timeout", "600")
    started.start()
    wait_for(lambda: started.api.get("/pools/rbd/images").status == 200, "the service to connect")
    own_ceph.osd.freeze()
    try:
        with started.api.begun("POST", "/pools/rbd/images", {"name": "left", "size": "1Mi"}):
            assert started.process.process.stop(grace=GRACE) == 0
    finally:
        own_ceph.osd.resume()
    (line,) = [json.loads(line) for line in started.process.log_text().splitlines() if '"sutler.audit"' in line]
    assert (line["event"], line["what"], line["who"]) == ("change", "create_image", "ada")
    assert (line["named"], line["status"], line["result"]) == ("left", None, "interrupted")


def test_wrong_ceph_user_is_explained(place: Place, own_ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> None:
    started = Service(place, own_ceph, tmp_path_factory.mktemp("api-denied"), "--ceph-user", "stranger")
    try:
        started.process.launch()
        # Without a key it is never ready; it answers all the same, and says why.
        wait_for(lambda: "client.stranger" in started.process.probe("readyz")[1], "the reason in /readyz")
        refused = started.api.get("/pools")
        assert refused.status in {403, 503}
        assert "client.stranger" in refused.json["detail"]
    finally:
        started.process.stop()
