"""The typed calls, on the real API server."""

import asyncio

import pytest
from aiohttp import web

from sutler.kube import client as client_module
from sutler.kube.client import Client
from sutler.kube.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    LeaseLost,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from sutler.kube.resources import CONFIG_MAPS, NAMESPACES, PODS, SECRETS
from sutler.typedefs import Json
from tests.kube import faults
from tests.kube.proxy import Exchange, Fault, FaultyProxy

CANARY = "Y2FuYXJ5LWluLWEtc2VjcmV0"


def config_map(name: str, **data: str) -> Json:
    return {"metadata": {"name": name, "labels": {"of": "test"}}, "data": data}


async def test_object_lives_from_creation_to_deletion(client: Client, namespace: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a", key="1"), namespace)
    assert (await client.get(CONFIG_MAPS, "a", namespace))["data"] == {"key": "1"}

    made["data"]["key"] = "2"
    assert (await client.replace(CONFIG_MAPS, made))["data"] == {"key": "2"}
    patched = await client.merge_patch(CONFIG_MAPS, "a", {"data": {"more": "3", "key": None}}, namespace)
    assert patched["data"] == {"more": "3"}
    operations = [{"op": "test", "path": "/data/more", "value": "3"}, {"op": "remove", "path": "/data/more"}]
    assert "data" not in await client.json_patch(CONFIG_MAPS, "a", operations, namespace)

    await client.delete(CONFIG_MAPS, "a", namespace, uid=made["metadata"]["uid"])
    with pytest.raises(NotFound, match=f"GET configmaps {namespace}/a: 404 NotFound"):
        await client.get(CONFIG_MAPS, "a", namespace)


async def test_status_is_written_apart(client: Client, namespace: str) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = await client.create(PODS, pod, namespace)
    condition = {"type": "Test", "status": "True"}
    await client.merge_patch(PODS, "p", {"status": {"conditions": [condition]}}, namespace, subresource="status")
    made = await client.get(PODS, "p", namespace)
    made["status"]["message"] = "hello"
    assert (await client.replace(PODS, made, subresource="status"))["status"]["message"] == "hello"


async def test_refusals_have_their_own_classes(client: Client, namespace: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a"), namespace)
    with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
        await client.create(CONFIG_MAPS, config_map("a"), namespace)
    await client.merge_patch(CONFIG_MAPS, "a", {"data": {"new": "er"}}, namespace)
    with pytest.raises(Conflict, match="object has been modified"):
        await client.replace(CONFIG_MAPS, made)
    with pytest.raises(Conflict, match="UID in the precondition"):
        await client.delete(CONFIG_MAPS, "a", namespace, uid="another")
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAPS, "a", namespace, resource_version="1")
    with pytest.raises(Invalid, match="a lowercase RFC 1123"):
        await client.create(CONFIG_MAPS, config_map("Not A Name"), namespace)
    with pytest.raises(Invalid):
        await client.json_patch(CONFIG_MAPS, "a", [{"op": "test", "path": "/data/new", "value": "x"}], namespace)
    with pytest.raises(BadRequest):
        await client.create(CONFIG_MAPS, {"metadata": {"name": "b"}, "data": "no map"}, namespace)


async def test_list_takes_selectors(client: Client, namespace: str) -> None:
    for name in "ab":
        await client.create(CONFIG_MAPS, config_map(name), namespace)

    async def names(**selectors: str) -> list[str]:
        found = await client.list(CONFIG_MAPS, namespace, **selectors)
        assert all(one["kind"] == "ConfigMap" and one["apiVersion"] == "v1" for one in found)
        return [one["metadata"]["name"] for one in found]

    assert await names(label_selector="of=test") == ["a", "b"]
    assert await names(label_selector="of in (test),!absent", field_selector="metadata.name=b") == ["b"]
    assert await names(label_selector="of=other") == []


async def test_list_of_many_is_paged(proxied: Client, proxy: FaultyProxy, namespace: str, many: int) -> None:
    assert len(await proxied.list(CONFIG_MAPS, namespace, label_selector="of=test")) == many
    assert proxy.count("GET", "/configmaps$") == 3
    assert [seen.query["limit"] for seen in proxy.seen] == ["5"] * 3


async def test_list_starts_afresh_when_its_token_expires(
    proxied: Client, proxy: FaultyProxy, namespace: str, many: int
) -> None:
    """Twice the second page is refused; what the first pages said doesn't come twice."""
    refused = 0

    async def fault(exchange: Exchange) -> web.StreamResponse:
        nonlocal refused
        if "continue" in exchange.seen.query and refused < 2:
            refused += 1
            return await faults.answer(410, reason="Expired")(exchange)
        return await exchange.pass_on()

    proxy.fail(fault)
    found = await proxied.list(CONFIG_MAPS, namespace, label_selector="of=test")
    assert len({one["metadata"]["name"] for one in found}) == len(found) == many
    assert refused == 2


async def test_list_ends_in_one_piece_when_tokens_never_last(
    proxied: Client, proxy: FaultyProxy, namespace: str, many: int
) -> None:
    async def fault(exchange: Exchange) -> web.StreamResponse:
        if "continue" in exchange.seen.query:
            return await faults.answer(410, reason="Expired")(exchange)
        return await exchange.pass_on()

    proxy.fail(fault)
    assert len(await proxied.list(CONFIG_MAPS, namespace, label_selector="of=test")) == many
    assert "limit" not in proxy.seen[-1].query


@pytest.fixture
async def many(client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Objects for three pages, the pages made small instead of the objects many."""
    monkeypatch.setattr(client_module, "_PAGE_SIZE", 5)
    for number in range(12):
        await client.create(CONFIG_MAPS, config_map(f"m{number}"), namespace)
    return 12


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_TIMEOUT_SECONDS", 0.3)


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        (faults.answer(401, reason="Unauthorized"), Unauthorized, "401 Unauthorized: from the proxy"),
        (faults.answer(403, reason="Forbidden"), Forbidden, "403 Forbidden"),
        (faults.answer(409, reason="Conflict"), Conflict, "409 Conflict"),
        (faults.answer(410, reason="Expired"), Gone, "410 Expired"),
        (faults.answer(422, reason="Invalid"), Invalid, "422 Invalid"),
        (faults.answer(429, reason="TooManyRequests"), TooManyRequests, "429"),
        (faults.answer(500, reason="InternalError", message="x" * 9000), Unavailable, "500 InternalError: x+…$"),
        (faults.answer(503), Unavailable, "503: from the proxy"),
        (faults.html(502), Unavailable, "GET namespaces default: 502$"),
        (faults.html(200), Unreachable, "not JSON"),
        (faults.reset(), Unreachable, "closed without a response"),
        (faults.cut_answer(), Unreachable, "cut"),
        (faults.truncated(), Unreachable, "not JSON"),
        (faults.stall(), Unreachable, "did not answer within 0.3 s"),
    ],
)
async def test_faults_become_errors(
    proxied: Client, proxy: FaultyProxy, fault: Fault, error: type[Exception], text: str
) -> None:
    proxy.fail(fault)
    with pytest.raises(error, match=text) as raised:
        await proxied.get(NAMESPACES, "default")
    assert len(str(raised.value)) < 400
    proxy.heal()
    assert await proxied.get(NAMESPACES, "default")


@pytest.mark.parametrize("fault", [faults.reset(late=True), faults.cut_answer(), faults.truncated()])
async def test_write_with_a_lost_answer_is_unreachable_although_done(
    proxied: Client, proxy: FaultyProxy, namespace: str, fault: Fault
) -> None:
    proxy.fail(fault, method="POST")
    with pytest.raises(Unreachable):
        await proxied.create(CONFIG_MAPS, config_map("late"), namespace)
    assert await proxied.get(CONFIG_MAPS, "late", namespace)


async def test_read_waits_as_long_as_the_server_asks(proxied: Client, proxy: FaultyProxy) -> None:
    rule = proxy.fail(faults.answer(429, reason="TooManyRequests", retry_after=1), times=1)
    began = asyncio.get_running_loop().time()
    assert await proxied.get(NAMESPACES, "default")
    assert asyncio.get_running_loop().time() - began >= 1
    assert rule.hits == 1


async def test_write_tells_what_the_server_asks(proxied: Client, proxy: FaultyProxy) -> None:
    rule = proxy.fail(faults.answer(429, reason="TooManyRequests", retry_after=7))
    with pytest.raises(TooManyRequests) as raised:
        await proxied.create(CONFIG_MAPS, config_map("a"), "default")
    assert (raised.value.retry_after, rule.hits) == (7, 1)


@pytest.mark.parametrize("body", [b"{}", b'{"kind":"Table"}', b'{"metadata":{},"items":[]}', b"[]"])
async def test_strange_json_is_no_empty_list(proxied: Client, proxy: FaultyProxy, body: bytes) -> None:
    async def strange(_: Exchange) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    proxy.fail(strange)
    with pytest.raises(Unreachable, match="is not a"):
        await proxied.list(CONFIG_MAPS, "default")


async def test_refused_secret_is_not_quoted(client: Client, namespace: str) -> None:
    secret: Json = {"metadata": {"name": "s"}, "data": {"key": f"{CANARY}!"}}
    with pytest.raises(BadRequest) as raised:
        await client.create(SECRETS, secret, namespace)
    assert CANARY[:6] not in f"{raised.value!r} {raised.value} {raised.value.message}"
    secret = {
        "metadata": {"name": "s"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": CANARY},
    }
    with pytest.raises(Invalid, match="dockerconfigjson") as raised_invalid:
        await client.create(SECRETS, secret, namespace)
    assert CANARY[:6] not in str(raised_invalid.value)


async def test_fence_stops_writes_and_lets_reads_through(client: Client, namespace: str) -> None:
    def lost() -> None:
        raise LeaseLost("lost")

    await client.create(CONFIG_MAPS, config_map("a"), namespace)
    fenced = client.fenced(lost)
    assert await fenced.list(CONFIG_MAPS, namespace)
    assert await fenced.get(CONFIG_MAPS, "a", namespace)
    for write in (
        fenced.create(CONFIG_MAPS, config_map("b"), namespace),
        fenced.replace(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": namespace}}),
        fenced.merge_patch(CONFIG_MAPS, "a", {"data": {"x": "y"}}, namespace),
        fenced.json_patch(CONFIG_MAPS, "a", [], namespace),
        fenced.delete(CONFIG_MAPS, "a", namespace),
        fenced.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert "data" not in await client.get(CONFIG_MAPS, "a", namespace)


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("last", [2, 3])
async def test_fence_is_looked_at_again_until_the_bytes_go_out(
    proxied: Client, proxy: FaultyProxy, *, warm: bool, last: int
) -> None:
    """The lease may run out while the request waits for a connection, a new one or a used one, and for its turn."""
    checks = 0

    def lost_meanwhile() -> None:
        nonlocal checks
        checks += 1
        if checks == last:
            raise LeaseLost("lost meanwhile")

    if warm:
        await proxied.get(NAMESPACES, "default")
    with pytest.raises(LeaseLost):
        await proxied.fenced(lost_meanwhile).create(CONFIG_MAPS, config_map("never"), "default")
    assert checks == last
    assert proxy.count("POST") == 0
    assert await proxied.get(NAMESPACES, "default")
