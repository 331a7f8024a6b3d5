"""Serves admission requests, and stops without losing one."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from aiohttp import web

from sutler import log
from sutler.errors import SutlerError
from webhook.acceptor import Acceptor, listen
from webhook.handler import AdmissionHandler
from webhook.state import WebhookState

KEEP_ALIVE_SECONDS = 300.0
"""Longer than the 90 s for which the API server keeps an idle connection. If the webhook closed first, a request that
meets the closing connection would fail and not be sent again."""
_DRAIN_CHECK_SECONDS = 0.25

_log = log.get(__name__)


class WebhookListenError(SutlerError):
    """The address can't be listened on."""


def freeze_garbage_collector() -> None:
    """Keep the garbage collector from traversing all mappings again and again, during requests.

    The objects of this moment (modules, the first index) are exempt from it, and it runs less often: requests leave no
    reference cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def make_runner(state: WebhookState | AdmissionHandler) -> web.ServerRunner:
    """Make the server without a socket, while the event loop runs.

    It is aiohttp's low-level server: there is one path, and routing costs a good deal.
    """
    admission = state if isinstance(state, AdmissionHandler) else AdmissionHandler(state)
    # These settings go to the server: its runner would drop them.
    server = web.Server(
        admission.handle,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        auto_decompress=False,  # a compressed body is rejected and must not be decompressed first
    )
    return web.ServerRunner(server)


@asynccontextmanager
async def listening(admission: AdmissionHandler, host: str, port: int, context: ssl.SSLContext) -> AsyncIterator[None]:
    """Serve until the block is left, then close all connections. Raises WebhookListenError."""
    runner = make_runner(admission)
    await runner.setup()
    try:
        if runner.server is None:
            raise AssertionError  # it is there from setup() on
        acceptor = Acceptor(admission, runner.server, context)
        with _listener(host, port) as listener:
            _log.info("serving", host=host, port=port)
            tasks = [asyncio.create_task(acceptor.run(listener)), asyncio.create_task(admission.load.measure_lag())]
            try:
                yield
            finally:
                acceptor.close()
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
    finally:
        await runner.cleanup()


def _listener(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        raise WebhookListenError(f"can't listen on --host {host} --port {port}: {error.strerror or error}") from error


async def drain(admission: AdmissionHandler, quiet: float, deadline: float) -> None:
    """Keep serving until no request has arrived for `quiet` seconds, at most for `deadline` seconds.

    Each response asks its client to close the connection.
    """
    admission.state.stopping = True
    begin = perf_counter()
    _log.info("stopping", quiet=quiet, deadline=deadline)
    while (now := perf_counter()) < begin + deadline:
        rest = max(admission.last_request, begin) + quiet - now
        if rest <= 0 and not admission.busy:
            return
        await asyncio.sleep(max(min(rest, begin + deadline - now, _DRAIN_CHECK_SECONDS), 0.05))
    _log.warning("requests still arrived at the deadline of the drain")
