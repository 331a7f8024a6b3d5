"""What all fakes of clouds share: a server on loopback, passwords with an end, faults on demand.

They are strict: an identity that is wrong, stale or missing is refused as the cloud refuses it.
"""

import asyncio
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Self

from aiohttp import web

from tests.tokens.fakes.jwt import Refused, check_token

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """An answer that is given instead of the right one."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0


@dataclass
class FakeCloud(ABC):
    """`issued` holds every password and its end by the fake's clock, which is `skew_seconds` ahead of the local one."""

    life_seconds: float = 3600.0
    skew_seconds: float = 0.0
    secret_prefix: str = "canary"
    issued: dict[str, float] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    """By path; stays until it is taken away."""
    trusted: Callable[[str, str, str], dict[str, Any]] = check_token
    """Takes a ServiceAccount's token, the audience and the code of a refusal; gives the token's claims."""
    on_request: Callable[[str], None] | None = None
    """Called with `METHOD /path` before anything is answered."""
    url: str = ""
    _runner: web.AppRunner | None = None

    @abstractmethod
    def routes(self) -> dict[tuple[str, str], Handler]:
        """The handler of each method and path."""

    def refusal(self, request: web.Request, refused: Refused) -> web.Response:
        del request
        return web.json_response({"__type": refused.code, "message": "refused"}, status=refused.status)

    def now(self) -> float:
        return time.time() + self.skew_seconds

    def issue(self, what: str = "token") -> tuple[str, float]:
        """A new password and its end."""
        password = f"{self.secret_prefix}-{what}-{secrets.token_hex(12)}"
        self.issued[password] = self.now() + self.life_seconds
        return password, self.issued[password]

    def is_good(self, password: str) -> bool:
        """What a registry of this cloud asks."""
        return self.issued.get(password, 0.0) > self.now()

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._middleware], client_max_size=1 << 20)
        for (method, path), handler in self.routes().items():
            app.router.add_route(method, path, handler)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner:
            await self._runner.cleanup()

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        if self.on_request:
            self.on_request(self.requests[-1])
        fault = self.faults.get(request.path) or self.faults.get("*")
        if fault is not None:
            await asyncio.sleep(fault.delay_seconds)
            response: web.StreamResponse = web.Response(status=fault.status, body=fault.body, headers=fault.headers)
        else:
            try:
                response = await handler(request)
            except Refused as refused:
                response = self.refusal(request, refused)
        response.headers["Date"] = formatdate(self.now(), usegmt=True)
        return response


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
