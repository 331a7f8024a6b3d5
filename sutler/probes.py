"""The second port of every process: is it alive, is it ready, what does it count."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NoReturn

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from sutler.errors import SutlerError
from sutler.metrics import REGISTRY

# None when all is well, else what is missing, for the operator who asks.
Check = Callable[[], str | None]


class ProbeError(SutlerError):
    pass


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
    async def healthz(_: web.Request) -> web.Response:
        # That it is answered at all shows that the event loop turns.
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reasons = [f"{name}: {reason}" for name, check in ready.items() if (reason := check()) is not None]
        return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


async def metrics(request: web.Request) -> web.Response:
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(REGISTRY), headers={"Content-Type": content_type})
