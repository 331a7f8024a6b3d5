"""The reflector, on the real API server and through a proxy that breaks its watches."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from sutler.kube.client import Client
from sutler.kube.reflector import ObjectChange, Reflector, unready
from sutler.kube.resources import CONFIG_MAPS, NAMESPACES, Resource
from sutler.metrics import REGISTRY
from sutler.typedefs import Json
from tests.cluster import ControlPlane
from tests.cluster.wait import wait_for_async
from tests.kube import faults
from tests.kube.proxy import Fault, FaultyProxy
from tests.kube.running import running

if TYPE_CHECKING:
    from sutler.kube.transport import Transport

MINE = "of=test"


def config_map(name: str, **data: str) -> Json:
    return {"metadata": {"name": name, "labels": {"of": "test"}}, "data": data}


def data_of(obj: Json) -> dict[str, str]:
    assert obj["kind"] == "ConfigMap"
    assert obj["apiVersion"] == "v1"
    return dict(obj.get("data") or {})


class Followed(Reflector[dict[str, str]]):
    """The ConfigMaps of one namespace, with all changes written down as (name, old, new)."""

    def __init__(self, client: Client, namespace: str, **more: Any) -> None:
        arguments: dict[str, Any] = {"namespace": namespace, "label_selector": MINE, "transform": data_of} | more
        super().__init__(client, CONFIG_MAPS, **arguments)
        self.changes: list[tuple[str, Any, Any]] = []
        self.subscribe(self._write_down)

    def _write_down(self, change: ObjectChange[dict[str, str]]) -> None:
        assert self.store.get(change.key) == change.new
        self.changes.append((change.key.partition("/")[2], change.old, change.new))

    async def until(self, **names: dict[str, str]) -> None:
        """Wait until the store holds just these."""

        async def same() -> bool:
            return {key.partition("/")[2]: kept for key, kept in self.store.items()} == names

        await wait_for_async(same, f"the store to hold {names}")


@asynccontextmanager
async def following(client: Client, namespace: str, **more: Any) -> AsyncIterator[Followed]:
    followed = Followed(client, namespace, **more)
    async with running(followed.run()):
        await asyncio.wait_for(followed.wait_synced(), 30)
        yield followed


async def test_store_follows_the_objects(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, config_map("before", a="1"), namespace)
    async with following(client, namespace) as followed:
        assert followed.synced
        await followed.until(before={"a": "1"})
        await client.create(CONFIG_MAPS, config_map("later"), namespace)
        await followed.until(before={"a": "1"}, later={})
        await client.merge_patch(CONFIG_MAPS, "later", {"data": {"b": "2"}}, namespace)
        await followed.until(before={"a": "1"}, later={"b": "2"})
        await client.delete(CONFIG_MAPS, "before", namespace)
        await followed.until(later={"b": "2"})
        assert followed.changes == [
            ("before", None, {"a": "1"}),
            ("later", None, {}),
            ("later", {}, {"b": "2"}),
            ("before", {"a": "1"}, None),
        ]


async def test_object_that_leaves_the_selection_is_gone(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, config_map("a"), namespace)
    async with following(client, namespace) as followed:
        await client.merge_patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"of": None}}}, namespace)
        await followed.until()


async def test_relist_tells_what_was_missed(
    proxied: Client, client: Client, proxy: FaultyProxy, namespace: str
) -> None:
    for name in ("stays", "changes", "goes"):
        await client.create(CONFIG_MAPS, config_map(name, a="1"), namespace)
    async with following(proxied, namespace) as followed:
        followed.changes.clear()
        gone = proxy.fail(faults.events(faults.error_event(410, "Expired")), watch=True, times=1)
        with proxy.away():
            await client.delete(CONFIG_MAPS, "goes", namespace)
            await client.merge_patch(CONFIG_MAPS, "changes", {"data": {"a": "2"}}, namespace)
            await client.create(CONFIG_MAPS, config_map("comes"), namespace)
            assert followed.synced
            assert len(followed.store) == 3
        await followed.until(stays={"a": "1"}, changes={"a": "2"}, comes={})
        assert gone.hits == 1
        assert sorted(followed.changes, key=str) == [
            ("changes", {"a": "1"}, {"a": "2"}),
            ("comes", None, {}),
            ("goes", {"a": "1"}, None),
        ]


async def test_cut_watch_goes_on_where_it_was(
    proxied: Client, client: Client, proxy: FaultyProxy, namespace: str
) -> None:
    async with following(proxied, namespace) as followed:
        lists = proxy.count("GET", "/configmaps", watch=False)
        for number in range(3):
            proxy.cut()
            await client.create(CONFIG_MAPS, config_map(f"a{number}"), namespace)
            await wait_for_async(_holds(followed, number + 1), "the new object")
        assert proxy.count("GET", "/configmaps", watch=False) == lists


async def test_silent_connection_is_renewed(
    proxied: Client, client: Client, proxy: FaultyProxy, namespace: str
) -> None:
    async with following(proxied, namespace, silence=1.0) as followed:
        rule = proxy.fail(faults.events(close=False), watch=True, times=1)
        proxy.cut()
        await wait_for_async(_hit(rule), "a watch that stays silent")
        await client.create(CONFIG_MAPS, config_map("a"), namespace)
        await followed.until(a={})


async def test_network_that_swallows_everything_is_survived(
    proxied: Client, client: Client, proxy: FaultyProxy, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sutler.kube.client._TIMEOUT_SECONDS", 0.5)
    await client.create(CONFIG_MAPS, config_map("goes"), namespace)
    async with following(proxied, namespace, silence=0.5) as followed:
        with proxy.silent():
            await client.delete(CONFIG_MAPS, "goes", namespace)
            tried = proxy.count(watch=True)
            await wait_for_async(_more(lambda: proxy.count(watch=True), tried + 1), "new tries")
        await followed.until()


async def test_server_that_closes_at_once_is_not_hammered(
    proxied: Client, client: Client, proxy: FaultyProxy, namespace: str
) -> None:
    proxy.fail(faults.events(), watch=True)
    async with following(proxied, namespace) as followed:
        await wait_for_async(_more(lambda: proxy.count(watch=True), 1), "tries")
        first, began = proxy.count(watch=True), asyncio.get_running_loop().time()
        await wait_for_async(_more(lambda: proxy.count(watch=True), first + 2), "more tries")
        assert asyncio.get_running_loop().time() - began > 0.5, "pauses that grow"
        proxy.heal()
        await client.create(CONFIG_MAPS, config_map("a"), namespace)
        await followed.until(a={})


async def test_pause_that_the_server_asks_for_is_made(proxied: Client, proxy: FaultyProxy, namespace: str) -> None:
    rule = proxy.fail(faults.answer(503, retry_after=2), watch=True, times=1)
    async with following(proxied, namespace):
        await wait_for_async(_hit(rule), "the refusal")
        began = asyncio.get_running_loop().time()
        await wait_for_async(_more(lambda: proxy.count(watch=True), 1), "the next try")
        assert asyncio.get_running_loop().time() - began > 1.5


@pytest.mark.parametrize(
    "fault",
    [
        faults.answer(410, reason="Expired"),
        faults.answer(429, reason="TooManyRequests", retry_after=1),
        faults.answer(500, reason="InternalError"),
        faults.answer(403, reason="Forbidden"),
        faults.html(),
        faults.reset(),
        faults.events(faults.error_event(410, "Expired")),
        faults.events(faults.error_event(500, "InternalError")),
        faults.events(b'{"type":"ADDED","object":{"metadata":{"name":'),
        faults.events(b"<html>\n"),
        faults.events(b'{"type":"ADDED","object":{}}\n'),
        faults.events(b'{"type":"ADDED","object":{"metadata":{"name":"old","resourceVersion":"1"}}}\n'),
    ],
)
async def test_broken_watch_heals(
    proxied: Client, client: Client, proxy: FaultyProxy, namespace: str, fault: Fault
) -> None:
    rule = proxy.fail(fault, watch=True, times=2)
    async with following(proxied, namespace) as followed:
        await wait_for_async(_hit(rule, 2), "the fault to happen")
        await client.create(CONFIG_MAPS, config_map("a"), namespace)
        await followed.until(a={})


@pytest.mark.parametrize(
    "fault",
    [
        faults.answer(429, reason="TooManyRequests", retry_after=1),
        faults.answer(500, reason="InternalError"),
        faults.html(),
        faults.html(200),
        faults.reset(),
        faults.cut_answer(),
        faults.truncated(),
    ],
)
async def test_broken_list_heals(
    proxied: Client, client: Client, proxy: FaultyProxy, namespace: str, fault: Fault
) -> None:
    await client.create(CONFIG_MAPS, config_map("a"), namespace)
    rule = proxy.fail(fault, watch=False, times=2)
    async with following(proxied, namespace) as followed:
        assert rule.hits == 2
        await followed.until(a={})


async def test_line_of_any_length_is_read(proxied: Client, proxy: FaultyProxy, namespace: str) -> None:
    metadata = {"name": "long", "namespace": namespace, "labels": {"of": "test"}, "resourceVersion": "999999999"}
    line = json.dumps({"type": "ADDED", "object": {"metadata": metadata, "data": {"a": "x" * 9_000_000}}})
    proxy.fail(faults.events(line.encode() + b"\n", close=False), watch=True)
    async with following(proxied, namespace, transform=lambda obj: {"length": str(len(obj["data"]["a"]))}) as followed:
        await followed.until(long={"length": "9000000"})


async def test_doubled_events_change_nothing_and_reordered_ones_are_made_good(
    proxied: Client, client: Client, proxy: FaultyProxy, namespace: str
) -> None:
    held: list[bytes] = []

    def double_then_swap(line: bytes) -> bytes | None:
        """Every line twice; the second and third in each other's place."""
        held.append(line)
        if len(held) == 2:
            return None
        return line * 2 if len(held) != 3 else line + held[1]

    proxy.fail(faults.changed(double_then_swap), watch=True, times=1)
    async with following(proxied, namespace) as followed:
        for name in "abc":
            await client.create(CONFIG_MAPS, config_map(name), namespace)
        await client.delete(CONFIG_MAPS, "a", namespace)
        await followed.until(b={}, c={})
        assert followed.changes.count(("a", None, {})) == 1
        assert sorted(followed.changes, key=str).count(("b", None, {})) == 1


async def test_object_that_cannot_be_read_does_not_hide_the_others(
    client: Client,
    namespace: str,
) -> None:
    def picky(obj: Json) -> dict[str, str]:
        if "poison" in obj.get("data", {}):
            raise ValueError("canary-value")
        return data_of(obj)

    await client.create(CONFIG_MAPS, config_map("bad", poison="1"), namespace)
    await client.create(CONFIG_MAPS, config_map("turns", a="1"), namespace)
    async with following(client, namespace, transform=picky) as followed:
        await client.merge_patch(CONFIG_MAPS, "turns", {"data": {"poison": "1"}}, namespace)
        await client.create(CONFIG_MAPS, config_map("good"), namespace)
        # What was known of one that turned bad stays; the one that always was bad is not there.
        await followed.until(turns={"a": "1"}, good={})
        await client.merge_patch(CONFIG_MAPS, "bad", {"data": {"poison": None}}, namespace)
        await client.delete(CONFIG_MAPS, "turns", namespace)
        await followed.until(bad={}, good={})


async def test_subscriber_that_fails_does_not_stop_the_others(client: Client, namespace: str) -> None:
    followed = Followed(client, namespace)
    seen: list[str] = []

    def fails(_: object) -> None:
        raise RuntimeError("of the test's own")

    followed.subscribe(fails)
    followed.subscribe(lambda change: seen.append(change.key))
    async with running(followed.run()):
        await client.create(CONFIG_MAPS, config_map("a"), namespace)
        await followed.until(a={})
        assert seen == [f"{namespace}/a"]


async def test_metadata_alone_can_be_followed(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, config_map("before", a="1"), namespace)
    async with following(client, namespace, transform=lambda obj: obj, metadata_only=True) as followed:
        await client.create(CONFIG_MAPS, config_map("later", a="1"), namespace)
        await wait_for_async(_holds(followed, 2), "both")
        for kept in followed.store.values():
            assert "data" not in kept
            assert kept["kind"] == "ConfigMap"


async def test_cluster_scoped_objects_go_by_their_name(client: Client, namespace: str) -> None:
    reflector = Reflector(client, NAMESPACES, transform=str, field_selector=f"metadata.name={namespace}")
    async with running(reflector.run()):
        await asyncio.wait_for(reflector.wait_synced(), 30)
        assert list(reflector.store) == [namespace]


async def test_kind_that_does_not_exist_yet_is_waited_for(client: Client, control_plane: ControlPlane) -> None:
    widgets = Resource("example.com", "v1", "widgets", "Widget", namespaced=False)
    reflector = Reflector(client, widgets, transform=lambda obj: obj["spec"])
    async with running(reflector.run()):
        await asyncio.sleep(0.5)
        assert not reflector.synced
        control_plane.kubectl("apply", "-f", "-", input=json.dumps(WIDGETS))
        await asyncio.wait_for(reflector.wait_synced(), 30)
        control_plane.kubectl("delete", "crd", "widgets.example.com")


async def test_api_server_that_crashes_is_found_again(
    client: Client, control_plane: ControlPlane, namespace: str
) -> None:
    async with following(client, namespace) as followed:
        await asyncio.to_thread(control_plane.restart_apiserver)
        await client.create(CONFIG_MAPS, config_map("a"), namespace)
        await followed.until(a={})


async def test_metric_tells_when_the_server_was_last_heard(client: Client, namespace: str) -> None:
    async with following(client, namespace):

        def heard() -> float:
            labels = {"resource": "configmaps"}
            return REGISTRY.get_sample_value("sutler_reflector_last_event_timestamp_seconds", labels) or 0.0

        before = heard()
        await client.create(CONFIG_MAPS, config_map("a"), namespace)
        await wait_for_async(_more(heard, before), "the metric to move")


def test_watch_that_was_not_begun_has_no_time() -> None:
    """Its alert would fire for ever."""
    never = Resource("", "v1", "neverwatched", "NeverWatched", namespaced=True)
    Reflector(Client(cast("Transport", None)), never, transform=dict)
    labels = {"resource": "neverwatched"}
    assert REGISTRY.get_sample_value("sutler_reflector_last_event_timestamp_seconds", labels) is None


def _holds(followed: Followed, count: int) -> Callable[[], Awaitable[bool]]:
    return _more(lambda: len(followed.store), count - 1)


def _hit(rule: Any, times: int = 1) -> Callable[[], Awaitable[bool]]:
    return _more(lambda: rule.hits, times - 1)


def _more(value: Callable[[], float], than: float) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return value() > than

    return condition


WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Cluster",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


NOTHINGS = Resource("sutler.dev", "v1alpha1", "nothings", "Nothing", namespaced=False)


async def test_resource_that_the_api_server_does_not_know_is_reported(client: Client) -> None:
    """As after the CRD has been deleted. One that has just started may not know it yet."""
    unknown = Reflector[str](client, NOTHINGS, transform=str, gone_after=0.0)
    patient = Reflector[str](client, NOTHINGS, transform=str)
    async with running(unknown.run()), running(patient.run()):
        await wait_for_async(partial(said, unknown), "the refusal")
        await wait_for_async(partial(said, patient), "the refusal")
        assert unknown.gone
        assert not patient.gone
        words = unready({"nothings": patient})
        assert words
        assert words.startswith("not seen yet: nothings (")
        assert ": 404" in words


async def said(reflector: Reflector[str]) -> bool:
    return ": 404" in reflector.problem


async def test_what_is_heard_ends_the_trouble(proxied: Client, proxy: FaultyProxy, namespace: str) -> None:
    rule = proxy.fail(faults.answer(404, reason="NotFound"), times=2)
    async with following(proxied, namespace, gone_after=0.0) as followed:
        assert rule.hits == 2
        assert (followed.problem, followed.gone, unready({"x": followed})) == ("", False, None)
