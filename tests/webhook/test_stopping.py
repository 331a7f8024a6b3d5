"""How a server stops: what it still answers, and when it ends."""

import asyncio

import aiohttp

from tests.cluster import wait_for_async
from tests.webhook.pods import body, pod, state
from tests.webhook.server_fixture import APP, JSON, Contexts, Running, free_port, head_of, until
from webhook.handler import AdmissionHandler
from webhook.limits import ConcurrencyLimits
from webhook.server import drain, listening


async def test_stopping_server_answers_on_asks_clients_to_leave_and_ends_when_it_is_quiet(running: Running) -> None:
    draining = asyncio.create_task(drain(running.admission, quiet=1, deadline=10))
    await until(lambda: running.state.stopping, "the server to be stopping")
    async with running.session.post(running.url, data=body(pod(APP)), headers=JSON) as response:
        assert response.status == 200
        assert response.headers["Connection"] == "close"
    assert not draining.done()
    async with asyncio.timeout(30):
        await draining


async def test_stopping_server_finishes_a_body_that_is_half_sent(running: Running) -> None:
    content = body(pod(APP))
    reader, writer = await running.raw()
    head = head_of(len(content))
    writer.write(head + content[:100])
    await until(lambda: running.admission.busy, "a request to be in work")
    draining = asyncio.create_task(drain(running.admission, quiet=0.01, deadline=10))
    await until(lambda: running.state.stopping, "the server to be stopping")
    writer.write(content[100:])
    async with asyncio.timeout(30):
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        await draining
    writer.close()


async def test_stopping_server_ends_at_the_deadline(running: Running) -> None:
    async def keep_asking() -> None:
        while True:
            await running.post(body(pod(APP)))

    asking = asyncio.create_task(keep_asking())
    async with asyncio.timeout(30):
        await drain(running.admission, quiet=60, deadline=0.3)
    asking.cancel()


async def test_rolling_restart_under_load_loses_no_request(contexts: Contexts) -> None:
    old, new = free_port(), free_port()
    target, answered, failed = old, 0, []

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal answered
        while True:
            url = f"https://localhost:{target}/mutate"
            try:
                async with session.post(url, data=body(pod(APP)), headers=JSON) as response:
                    await response.read()
                    if response.status != 200:
                        failed.append(str(response.status))
            except aiohttp.ClientError as error:
                failed.append(repr(error))
            answered += 1

    async def enough() -> bool:
        return answered > done + 100

    first, second = (AdmissionHandler(state(), ConcurrencyLimits(lag_seconds=30)) for _ in range(2))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=contexts[1])) as session,
        listening(second, "127.0.0.1", new, contexts[0]),
    ):
        async with listening(first, "127.0.0.1", old, contexts[0]):
            clients = [asyncio.create_task(client(session)) for _ in range(8)]
            done = answered
            await wait_for_async(enough, "requests to the old one")
            stopping = asyncio.create_task(drain(first, quiet=2, deadline=30))
            done = answered
            await wait_for_async(enough, "requests to the old one while it stops")
            target = new  # the endpoints have followed
            await stopping
        done = answered
        await wait_for_async(enough, "requests to the new one")
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    assert failed == []
