"""A connection on which nothing is said for long."""

import asyncio

import pytest

from tests.webhook.pods import body, pod
from tests.webhook.server_fixture import APP, Running, head_of

BODY = body(pod(APP))


@pytest.mark.parametrize("seconds", [0.5, pytest.param(95, marks=[pytest.mark.long, pytest.mark.timeout(180)])])
async def test_connection_that_was_idle_as_long_as_the_api_server_keeps_it_still_answers(
    running: Running, seconds: float
) -> None:
    reader, writer = await running.raw()
    for pause in (0, seconds):
        await asyncio.sleep(pause)
        writer.write(head_of(len(BODY)) + BODY)
        async with asyncio.timeout(30):
            assert (await reader.readuntil(b"}}}")).startswith(b"HTTP/1.1 200")
    writer.close()
