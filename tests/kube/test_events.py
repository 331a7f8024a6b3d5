"""Events, as kubectl shows them."""

import asyncio

import pytest

from sutler.kube import events as events_module
from sutler.kube.client import Client
from sutler.kube.events import EventRecorder
from sutler.kube.resources import CONFIG_MAPS, EVENTS, NAMESPACES
from sutler.metrics import REGISTRY
from sutler.typedefs import Json
from tests.cluster import ControlPlane
from tests.cluster.wait import wait_for_async
from tests.kube import faults
from tests.kube.proxy import Fault, FaultyProxy
from tests.kube.running import running


@pytest.fixture
async def thing(client: Client, namespace: str) -> Json:
    return await client.create(CONFIG_MAPS, {"metadata": {"name": "thing"}}, namespace)


async def recorded(client: Client, about: Json, count: int) -> list[Json]:
    """The events on an object, once they have been counted so often in all."""
    metadata = about["metadata"]
    selector = f"involvedObject.uid={metadata['uid']}"

    async def enough() -> list[Json] | None:
        found = await client.list(EVENTS, metadata.get("namespace") or "default", field_selector=selector)
        return found if sum(one["count"] for one in found) >= count else None

    found = await wait_for_async(enough, f"{count} events")
    assert found is not None
    assert sum(one["count"] for one in found) == count
    return found


async def test_event_is_shown_by_kubectl_describe(
    client: Client, control_plane: ControlPlane, thing: Json, namespace: str
) -> None:
    recorder = EventRecorder(client, "sutler-test")
    recorder.normal(thing, "Synced", "all is well")
    recorder.warning(thing, "Conflict", "something is in the way")
    async with running(recorder.run()):
        await recorded(client, thing, 2)
    said = control_plane.kubectl("get", "events", "-n", namespace, "--field-selector", "involvedObject.name=thing")
    assert "Synced" in said
    described = control_plane.kubectl("get", "events", "-n", namespace, "-o", "wide")
    assert "sutler-test" in described
    assert "something is in the way" in described


async def test_repeats_are_counted_in_one_event(client: Client, thing: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "_REPEAT_SECONDS", 0.1)
    recorder = EventRecorder(client, "sutler-test")
    async with running(recorder.run()):
        for number in range(1, 6):
            recorder.warning(thing, "Conflict", "again")
            (event,) = await recorded(client, thing, number)
        assert event["count"] == 5
        assert event["lastTimestamp"] >= event["firstTimestamp"]
        await client.delete(EVENTS, event["metadata"]["name"], event["metadata"]["namespace"])
        # An event that the API server has deleted is created again with its count.
        recorder.warning(thing, "Conflict", "again")
        await recorded(client, thing, 6)


async def test_repeats_do_not_become_requests(proxied: Client, proxy: FaultyProxy, thing: Json) -> None:
    recorder = EventRecorder(proxied, "sutler-test")
    async with running(recorder.run()):
        for _ in range(1000):
            recorder.warning(thing, "Conflict", "again")
        await recorded(proxied, thing, 1000)
        recorder.warning(thing, "Conflict", "again")
        await asyncio.sleep(0.3)
        assert proxy.count("POST") == 1
        assert proxy.count("PATCH") == 0


async def test_ever_new_messages_do_not_become_ever_new_events(client: Client, thing: Json) -> None:
    recorder = EventRecorder(client, "sutler-test")
    for number in range(100):
        recorder.warning(thing, "Failed", f"attempt {number}")
    async with running(recorder.run()):
        found = await recorded(client, thing, 100)
    assert len(found) == 10
    assert "attempt 99" in {one["message"] for one in found}


async def test_event_on_a_cluster_scoped_object_is_in_default(client: Client, namespace: str) -> None:
    about = await client.get(NAMESPACES, namespace)
    about.update(kind="Namespace", apiVersion="v1")
    recorder = EventRecorder(client, "sutler-test")
    recorder.normal(about, "Seen", "hello")
    async with running(recorder.run()):
        (event,) = await recorded(client, about, 1)
    assert event["metadata"]["namespace"] == "default"


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (faults.answer(500, reason="InternalError"), 1),
        (faults.answer(429, reason="TooManyRequests", retry_after=1), 1),
        (faults.reset(), 1),
        (faults.reset(late=True), 2),
    ],
)
async def test_event_survives_a_passing_fault_and_stays_one(
    proxied: Client, proxy: FaultyProxy, thing: Json, fault: Fault, times: int
) -> None:
    proxy.fail(fault, method="POST", times=times)
    recorder = EventRecorder(proxied, "sutler-test")
    recorder.normal(thing, "Seen", "hello")
    async with running(recorder.run()):
        found = await recorded(proxied, thing, 1)
    assert len(found) == 1


async def test_refused_event_is_dropped_and_the_next_one_sent(proxied: Client, proxy: FaultyProxy, thing: Json) -> None:
    def dropped() -> float:
        return REGISTRY.get_sample_value("sutler_events_dropped_total", {"component": "refused"}) or 0.0

    proxy.fail(faults.answer(403, reason="Forbidden"), method="POST", times=1)
    recorder = EventRecorder(proxied, "refused")
    recorder.normal(thing, "First", "refused")
    recorder.normal(thing, "Second", "sent")
    recorder.normal({"metadata": {}}, "Third", "about nothing")
    async with running(recorder.run()):
        (event,) = await recorded(proxied, thing, 1)
    assert event["reason"] == "Second"
    assert dropped() == 2


async def test_last_words_are_sent_at_the_end(client: Client, thing: Json) -> None:
    recorder = EventRecorder(client, "sutler-test")
    async with running(recorder.run()):
        await asyncio.sleep(0)
        recorder.warning(thing, "Stopping", f"why {'ä' * 5000}: what to do")
    (event,) = await recorded(client, thing, 1)
    assert 1020 <= len(event["message"].encode()) <= 1024
    assert event["message"].startswith("why ä")
    assert event["message"].endswith("ä: what to do")


@pytest.mark.parametrize("late", [False, True])
async def test_event_on_its_way_at_the_end_is_not_lost(
    proxied: Client, proxy: FaultyProxy, thing: Json, late: bool
) -> None:
    async def held() -> bool:
        return proxy.count("POST") == 1

    proxy.fail(faults.stall(late=late), method="POST", times=1)
    recorder = EventRecorder(proxied, "sutler-test")
    async with running(recorder.run()):
        recorder.warning(thing, "Stopping", "farewell")
        await wait_for_async(held, "the request")
        if late:
            await recorded(proxied, thing, 1)
    await recorded(proxied, thing, 1)
