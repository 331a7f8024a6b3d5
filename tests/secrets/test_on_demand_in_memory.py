"""The secrets controller with copies on demand, between a few objects in memory: what the wiring does."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import pytest

from provisioner.secrets.main import main
from provisioner.secrets.settings import SecretsSettings
from tests.kube.running import running
from tests.secrets import objects
from tests.secrets.objects import auth, config
from tests.tokens.fakes.api_server import OWN, SECRETS, FakeApiServer
from tests.tokens.scene import until

Json = dict[str, Any]

MAPPINGS = "/apis/sutler.dev/v1alpha1/registrymappings"
COPY = "/api/v1/namespaces/team-a/secrets/pull"
POD = "/api/v1/namespaces/team-a/pods/waits"
UNUSED_SECONDS = 1.0


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as api:
        api.collections |= {MAPPINGS, SECRETS, "/api/v1/namespaces", "/api/v1/secrets", "/api/v1/pods"}
        api.collections |= {f"/api/v1/namespaces/{name}/pods" for name in ("team-a", "team-b")}
        for name in ("team-a", "team-b"):
            api.put(f"/api/v1/namespaces/{name}", {})
        api.put(
            f"{SECRETS}/source", {"type": "kubernetes.io/dockerconfigjson", "data": config(quay__io=auth("u", "p"))}
        )
        yield api


def put_mapping(api: FakeApiServer, copies: str = "OnDemand", note: str = "") -> None:
    obj = objects.mapping("pull")
    obj["spec"]["pullSecret"] |= {"copies": copies, "annotations": {"example.com/note": note}}
    api.put(f"{MAPPINGS}/pull", {"spec": obj["spec"]})


def put_pod(api: FakeApiServer, phase: str = "Pending") -> None:
    api.put(POD, {"spec": {"imagePullSecrets": [{"name": "pull"}]}, "status": {"phase": phase}})


def namespaces(api: FakeApiServer) -> dict[str, int]:
    found: dict[str, int] = api.objects[f"{MAPPINGS}/pull"].get("status", {}).get("namespaces", {})
    return found


async def until_collected(api: FakeApiServer) -> None:
    """Every copy is checked at each change of its mapping."""
    for number in range(60):
        put_mapping(api, note=f"check {number}")
        with suppress(AssertionError):
            await until(lambda: f"DELETE {COPY}" in api.writes, "the deletion", 0.5)
            return
    raise AssertionError("the copy was not collected")


@asynccontextmanager
async def controller(
    api: FakeApiServer, folder: Path, port: int, unused_seconds: float = UNUSED_SECONDS
) -> AsyncIterator[None]:
    settings = SecretsSettings.from_arguments(
        [
            *("--kubeconfig", api.kubeconfig(folder), "--namespace", OWN),
            *("--probe-host", "127.0.0.1", "--probe-port", str(port)),
            *("--unused-copies-after", str(unused_seconds)),
        ],
        program="test",
    )
    async with running(main(settings)):
        yield


@pytest.fixture
def free_port(unused_tcp_port_factory: Callable[[], int]) -> int:
    return unused_tcp_port_factory()


async def test_copy_comes_with_the_pod_and_goes_when_no_pod_needs_it(
    api: FakeApiServer, tmp_path: Path, free_port: int
) -> None:
    put_mapping(api)
    async with controller(api, tmp_path, free_port):
        await until(lambda: namespaces(api).get("needed") == 0, "the status")
        assert COPY not in api.objects
        put_pod(api)
        await until(lambda: COPY in api.objects, "the copy")
        assert "/api/v1/namespaces/team-b/secrets/pull" not in api.objects
        await until(lambda: namespaces(api) == {"selected": 2, "needed": 1, "synced": 1}, "the status to count it")

        put_pod(api, "Running")
        await asyncio.sleep(2 * UNUSED_SECONDS)  # the length of the observation
        put_mapping(api, note="has every copy checked")
        await until(lambda: "GET /api/v1/namespaces/team-a/pods" in api.requests, "the Pods to be listed")
        assert COPY in api.objects

        put_pod(api, "Succeeded")
        api.slowness_seconds = 0.05  # the watch shows a deletion before it is answered
        await until_collected(api)
        await until(lambda: namespaces(api) == {"selected": 2, "needed": 0, "synced": 0}, "the status to count none")
        assert api.writes.count("POST /api/v1/namespaces/team-a/secrets") == 1
        put_pod(api)
        await until(lambda: COPY in api.objects, "the copy to be back")


async def test_pods_that_wait_already_get_their_copies_at_the_start(
    api: FakeApiServer, tmp_path: Path, free_port: int
) -> None:
    put_mapping(api)
    put_pod(api)
    async with controller(api, tmp_path, free_port):
        await until(lambda: COPY in api.objects, "the copy")


async def test_pods_are_not_watched_before_a_mapping_asks_for_it(
    api: FakeApiServer, tmp_path: Path, free_port: int
) -> None:
    put_mapping(api, "Eager")
    async with controller(api, tmp_path, free_port):
        await until(lambda: COPY in api.objects, "the copy")
        assert "GET /api/v1/pods" not in api.requests
        put_mapping(api)
        await until(lambda: "GET /api/v1/pods" in api.requests, "the Pods to be watched")


async def test_copy_that_another_hand_deletes_is_made_again(api: FakeApiServer, tmp_path: Path, free_port: int) -> None:
    put_mapping(api)
    put_pod(api)
    async with controller(api, tmp_path, free_port):
        await until(lambda: COPY in api.objects, "the copy")
        put_pod(api, "Running")
        await until(lambda: namespaces(api).get("synced") == 1, "the status")
        api.remove(COPY)
        await until(lambda: COPY in api.objects, "the copy to be back")


async def test_without_the_right_to_pods_the_status_says_so_and_eager_mappings_work(
    api: FakeApiServer, tmp_path: Path, free_port: int
) -> None:
    api.forbidden.add("/api/v1/pods")
    put_mapping(api)
    eager = objects.mapping("other")
    api.put(f"{MAPPINGS}/other", {"spec": eager["spec"]})
    async with controller(api, tmp_path, free_port):
        await until(lambda: "/api/v1/namespaces/team-a/secrets/other" in api.objects, "the eager copy")

        def reason() -> str:
            conditions = api.objects[f"{MAPPINGS}/pull"].get("status", {}).get("conditions", [{}])
            return str(conditions[0].get("reason"))

        await until(lambda: reason() == "PodsUnseen", "the reason")
        assert COPY not in api.objects


@pytest.mark.parametrize("rounds", [8, pytest.param(100, marks=pytest.mark.long)])
async def test_pod_that_comes_while_its_copy_is_collected_is_not_left_without(
    api: FakeApiServer, tmp_path: Path, free_port: int, rounds: int
) -> None:
    """Slow answers, and a Pod at any moment of a collection: it may even run before the copy has gone."""
    api.slowness_seconds = 0.03
    put_mapping(api)
    collected = 0

    def goes_on(number: int) -> bool:
        return number < rounds or not collected  # the time-out ends a test in which no race is one

    async with controller(api, tmp_path, free_port, unused_seconds=0.1):
        for number in takewhile(goes_on, count()):
            put_pod(api)
            await until(lambda: COPY in api.objects, "the copy")
            put_pod(api, "Succeeded")
            await asyncio.sleep(0.15)
            deletes = api.writes.count(f"DELETE {COPY}")
            put_mapping(api, note=str(number))  # has every copy checked
            await asyncio.sleep(random.uniform(0.0, 0.15))  # noqa: S311 - no secret
            put_pod(api)
            if number % 2:
                put_pod(api, "Running")
            await asyncio.sleep(0.3)  # all that had been decided is done
            await until(lambda: COPY in api.objects, f"the copy, in race {number}")
            collected += api.writes.count(f"DELETE {COPY}") > deletes
