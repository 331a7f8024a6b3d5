"""Nothing is judged by the clock of the machine that runs the command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

from sutler.cli import leases
from sutler.cli.common_reads import read_lease
from sutler.kube.client import Client
from sutler.kube.resources import LEASES
from sutler.typedefs import Json
from tests.kube.proxy import Exchange, FaultyProxy
from tests.kube.running import running

HOUR = timedelta(hours=1)


async def test_time_is_the_api_servers(proxied: Client, proxy: FaultyProxy) -> None:
    async def ahead(_: Exchange) -> web.StreamResponse:
        return web.json_response(
            {"major": "1"}, headers={"Date": format_datetime(datetime.now(UTC) + HOUR, usegmt=True)}
        )

    proxy.fail(ahead)
    await proxied.version()
    assert abs(proxied.now() - datetime.now(UTC) - HOUR) < timedelta(seconds=30)


async def test_time_is_ours_where_the_api_server_tells_none(proxied: Client, proxy: FaultyProxy) -> None:
    async def undated(_: Exchange) -> web.StreamResponse:
        return web.json_response({"major": "1"}, headers={"Date": "yesterday"})

    proxy.fail(undated)
    await proxied.version()
    assert abs(proxied.now() - datetime.now(UTC)) < timedelta(seconds=30)


def lease(renewed: datetime, holder: str | None = "leader") -> Json:
    time = renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "metadata": {"name": "a"},
        "spec": {"holderIdentity": holder, "renewTime": time, "leaseDurationSeconds": 15},
    }


def age(client: Client, found: Json | None) -> timedelta:
    assert found
    return client.now() - datetime.fromisoformat(leases.renew_time(found))


@asynccontextmanager
async def renewed(client: Client, namespace: str, behind: timedelta) -> AsyncIterator[None]:
    """Each half second, by a holder whose clock is so much behind."""

    async def renew() -> None:
        while True:
            spec = {"renewTime": (datetime.now(UTC) - behind).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
            await client.merge_patch(LEASES, "a", {"spec": spec}, namespace)
            await asyncio.sleep(0.5)

    async with running(renew()):
        yield


async def test_holder_whose_clock_is_wrong_is_seen_to_live(client: Client, namespace: str) -> None:
    for behind in (HOUR, -HOUR):
        await client.create(LEASES, lease(datetime.now(UTC) - behind), namespace)
        async with renewed(client, namespace, behind):
            assert age(client, await read_lease(client, "a", namespace)) < leases.MAX_AGE
        await client.delete(LEASES, "a", namespace)


async def test_holder_that_is_gone_is_seen_to_be(client: Client, namespace: str) -> None:
    await client.create(LEASES, lease(datetime.now(UTC) - HOUR), namespace)
    assert age(client, await read_lease(client, "a", namespace)) > leases.MAX_AGE
    assert await read_lease(client, "nothing", namespace) is None


async def test_lease_without_a_holder_is_not_waited_for(client: Client, namespace: str) -> None:
    await client.create(LEASES, lease(datetime.now(UTC) - HOUR, holder=None), namespace)
    async with asyncio.timeout(5):
        assert await read_lease(client, "a", namespace)
