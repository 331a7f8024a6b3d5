"""The probes' port of every process: /healthz, /readyz and /metrics."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, NoReturn

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from sutler.errors import SutlerError
from sutler.metrics import REGISTRY

Check = Callable[[], str | None]
"""Returns None if all is well, otherwise what is missing."""

HEALTHZ, READYZ, METRICS = "healthz", "readyz", "metrics"
_TEXT = "text/plain; charset=utf-8"


class ProbeResult(NamedTuple):
    body: bytes
    status: int = 200
    content_type: str = _TEXT


class ProbeError(SutlerError):
    """The address can't be listened on."""


async def serve(host: str, port: int, ready: Mapping[str, Check]) -> NoReturn:
    """Serve until cancelled.

    Raises:
        ProbeError: when the address can't be listened on.
    """
    runner = web.AppRunner(application(ready), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            text = error.strerror or "is it an address of this machine?"
            raise ProbeError(f"can't listen on --probe-host {host} --probe-port {port}: {text}") from error
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
    raise AssertionError


def application(ready: Mapping[str, Check]) -> web.Application:
    async def handle(request: web.Request) -> web.Response:
        result = probe(request.path[1:], ready, request.headers.get("Accept", ""))
        headers = {"Content-Type": result.content_type}
        return web.Response(body=result.body, status=result.status, headers=headers)

    app = web.Application()
    app.add_routes([web.get(f"/{what}", handle) for what in (HEALTHZ, READYZ, METRICS)])
    return app


def probe(what: str, ready: Mapping[str, Check], accept: str = "") -> ProbeResult:
    if what == METRICS:
        encode, content_type = choose_encoder(accept)
        return ProbeResult(encode(REGISTRY), content_type=content_type)
    if what == READYZ:
        return verdict(f"{name}: {reason}" for name, check in ready.items() if (reason := check()) is not None)
    # A response shows that the event loop runs.
    return verdict(())


def verdict(reasons: Iterable[str]) -> ProbeResult:
    """Status 503 with one reason a line, or 200 without reasons."""
    text = "\n".join(reasons)
    return ProbeResult(f"{text or 'ok'}\n".encode(), status=503 if text else 200)
