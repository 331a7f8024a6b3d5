"""The aiohttp application: endpoints, pages and health, and the port that serves them."""

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import msgspec
from aiohttp import web

from provisioner.api import docs_page, openapi
from provisioner.api.ceph_health import CephHealth
from provisioner.api.dispatch import Dispatcher
from provisioner.api.endpoint import endpoints
from provisioner.api.endpoints.images import ImageEndpoints
from provisioner.api.endpoints.operations import OperationEndpoints
from provisioner.api.endpoints.pools import PoolEndpoints
from provisioner.api.endpoints.snapshots import SnapshotEndpoints
from provisioner.api.endpoints.status import StatusEndpoints
from provisioner.api.endpoints.trash import TrashEndpoints
from provisioner.api.limits import LARGEST_BODY_BYTES
from provisioner.api.middleware import problem_middleware
from sutler.errors import SutlerError

ENDPOINT_CLASSES: Sequence[type] = (
    PoolEndpoints,
    ImageEndpoints,
    SnapshotEndpoints,
    TrashEndpoints,
    OperationEndpoints,
    StatusEndpoints,
)

# No foreign and no inline code: a name in Ceph, with any content, cannot become a script.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STATIC = {"page.css": "text/css", "ui.js": "text/javascript", "icon.svg": "image/svg+xml"}


class ListenError(SutlerError):
    pass


def openapi_document() -> dict[str, Any]:
    return openapi.document(found for owner in ENDPOINT_CLASSES for found in endpoints(owner))


def create_app(dispatcher: Dispatcher, endpoint_objects: Sequence[object], health: CephHealth) -> web.Application:
    app = web.Application(middlewares=[problem_middleware], client_max_size=LARGEST_BODY_BYTES)
    app.add_routes(dispatcher.routes(endpoint_objects))
    described = openapi_document()
    pages = {
        "/openapi.json": ("application/json", msgspec.json.format(msgspec.json.encode(described))),
        "/docs": ("text/html", docs_page.render(described).encode()),
        "/ui": ("text/html", _read("ui.html")),
        **{f"/static/{name}": (kind, _read(name)) for name, kind in _STATIC.items()},
    }
    for path, (kind, body) in pages.items():
        app.router.add_get(path, _page_handler(dispatcher, kind, body))
    app.router.add_get("/", _redirect_to_ui(dispatcher))
    app.router.add_get("/health", _health_handler(health))
    return app


def _page_handler(dispatcher: Dispatcher, kind: str, body: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def page(request: web.Request) -> web.Response:
        await dispatcher.authenticate(request)
        headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    return page


def _redirect_to_ui(dispatcher: Dispatcher) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def redirect(request: web.Request) -> web.Response:
        await dispatcher.authenticate(request)
        raise web.HTTPFound("/ui")

    return redirect


def _health_handler(health: CephHealth) -> Callable[[web.Request], Awaitable[web.Response]]:
    """For load balancers and monitoring: the only path without a token. It shows only the status of Ceph."""

    async def answer(_: web.Request) -> web.Response:
        status = health.current.status
        return web.json_response({"status": status}, status=503 if status == "down" else 200)

    return answer


def _read(name: str) -> bytes:
    return (files("provisioner.api") / "pages" / name).read_bytes()


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int, tls: ssl.SSLContext) -> AsyncIterator[None]:
    """Serves until the block is left; running requests then get five seconds to finish. Raises ListenError."""
    # `problem_middleware` logs what handlers raise. aiohttp would log a traceback for each request that is not HTTP.
    quiet = logging.getLogger("sutler.http")
    quiet.setLevel(logging.CRITICAL)
    runner = web.AppRunner(app, access_log=None, logger=quiet, shutdown_timeout=5.0, keepalive_timeout=75.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls, backlog=512).start()
        except OSError as error:
            text = error.strerror or "check that it is an address of this machine"
            raise ListenError(f"cannot listen on --host {host} --port {port}: {text}") from error
        yield
    finally:
        await runner.cleanup()
