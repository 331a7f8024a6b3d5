"""A proxy between a client and the real API server that does what a real API server can't be made to do.

    with FaultyProxy(control_plane.kubeconfig, tmp_path) as proxy:
        rule = proxy.fail(faults.reset(late=True), method="POST", path="/persistentvolumes")
        ...                             # the client under test uses proxy.kubeconfig
        assert rule.hits == 1
        assert proxy.count("POST", "/persistentvolumes") == 2

It speaks plain HTTP to the client, runs in a thread of its own (so tests may be plain functions and clients other
processes), passes credentials on, and writes down every request. The faults are small functions in
tests.kube.faults.
"""

import asyncio
import base64
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

_HOP_BY_HOP = {
    "connection",
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "host",
    "accept-encoding",
    "date",
}


@dataclass(frozen=True)
class Seen:
    """A request that arrived at the proxy."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def watch(self) -> bool:
        return self.query.get("watch") == "true"

    def json(self) -> Any:
        return json.loads(self.body)


class Exchange:
    """One request on its way, as a fault sees it."""

    def __init__(self, proxy: "FaultyProxy", request: web.Request, seen: Seen) -> None:
        self._proxy, self._request = proxy, request
        self.seen = seen

    async def pass_on(self, change: Callable[[bytes], bytes | None] | None = None) -> web.StreamResponse:
        """Let it through; `change` gets the answer line by line (a watch's events) and may alter or drop them."""
        async with self.upstream() as answer:
            response = await self.begin(answer)
            async for piece in _pieces(answer, by_line=change is not None):
                changed = change(piece) if change else piece
                await self._proxy.open_gate()
                if changed is not None:
                    await response.write(changed)
            await response.write_eof()
            return response

    @asynccontextmanager
    async def upstream(self) -> AsyncIterator[aiohttp.ClientResponse]:
        """The API server's answer, which has acted on the request by then."""
        seen = self.seen
        headers = {name: value for name, value in seen.headers.items() if name.lower() not in _HOP_BY_HOP}
        url = self._proxy.server + self._request.raw_path
        async with self._proxy.session.request(seen.method, _as_is(url), headers=headers, data=seen.body) as answer:
            yield answer

    async def begin(self, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(self._request)
        return response

    async def cut(self) -> NoReturn:
        self.reset()

    def reset(self) -> NoReturn:
        """Cut the client's connection as a crashed machine's kernel does."""
        transport = self._request.transport
        if transport is not None:
            _reset(transport)
        raise asyncio.CancelledError


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]


class Rule:
    """What happens to the requests that match, so many times."""

    def __init__(self, fault: Fault, method: str | None, path: re.Pattern[str], watch: bool | None, times: int) -> None:
        self._fault, self._method, self._path, self._watch, self._left = fault, method, path, watch, times
        self.hits = 0

    def takes(self, seen: Seen) -> bool:
        return (
            self._left > 0
            and self._method in {None, seen.method}
            and self._watch in {None, seen.watch}
            and self._path.search(seen.path) is not None
        )

    async def apply(self, exchange: Exchange) -> web.StreamResponse:
        self._left -= 1
        self.hits += 1
        return await self._fault(exchange)


async def passing(exchange: Exchange) -> web.StreamResponse:
    return await exchange.pass_on()


class FaultyProxy:
    session: aiohttp.ClientSession

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        """`kubeconfig` says which API server and as whom; the proxy's own is written into `folder`."""
        self._config = yaml.safe_load(kubeconfig.read_text())
        cluster = self._config["clusters"][0]["cluster"]
        self.server: str = cluster["server"]
        self._authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.kubeconfig = folder / f"proxied-{kubeconfig.name}"
        self.seen: list[Seen] = []
        self._rules: list[Rule] = []
        self._connections: set[asyncio.BaseTransport] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="faulty proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def fail(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        path: str = "",
        watch: bool | None = None,
        times: int = 1_000_000,
    ) -> Rule:
        """Do this to the next `times` requests of that method (None: any), path (a regular expression) and kind."""
        rule = Rule(fault, method, re.compile(path), watch, times)
        self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """Take all rules back."""
        self._rules.clear()

    def count(self, method: str | None = None, path: str = "", *, watch: bool | None = None) -> int:
        """How many such requests have arrived."""
        counting = Rule(passing, method, re.compile(path), watch, 1)
        return sum(counting.takes(seen) for seen in list(self.seen))

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._call(self._cut)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nothing there: every connection is reset, as on a machine whose server has crashed."""
        rule = self.fail(Exchange.cut)
        self._rules.insert(0, self._rules.pop())
        self.cut()
        try:
            yield
        finally:
            self._rules.remove(rule)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """A network that swallows everything: connections stay open, nothing arrives until afterwards."""
        self._call(self._gate.clear)
        try:
            yield
        finally:
            self._call(self._gate.set)

    async def open_gate(self) -> None:
        await self._gate.wait()

    def _call(self, function: Callable[[], object]) -> None:
        done = threading.Event()

        def call() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(call)
        done.wait(5)

    def _cut(self) -> None:
        for transport in list(self._connections):
            _reset(transport)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping, self._gate = asyncio.Event(), asyncio.Event()
        self._gate.set()
        tls = ssl.create_default_context(cadata=self._authority)
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        connector = aiohttp.TCPConnector(ssl=tls, limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout()) as self.session:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._write_kubeconfig(runner.addresses[0][1])
            self._started.set()
            await self._stopping.wait()
            self._gate.set()
            self._cut()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise asyncio.CancelledError
        self._connections.add(transport)
        try:
            query = dict(request.query)
            seen = Seen(request.method, request.path, query, dict(request.headers), await request.read())
            self.seen.append(seen)
            await self.open_gate()
            exchange = Exchange(self, request, seen)
            for rule in self._rules:
                if rule.takes(seen):
                    return await rule.apply(exchange)
            return await exchange.pass_on()
        finally:
            self._connections.discard(transport)

    def _write_kubeconfig(self, port: int) -> None:
        self._config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{port}"}
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(self._config))


async def _pieces(answer: aiohttp.ClientResponse, *, by_line: bool) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in answer.content.iter_any():
        if not by_line:
            yield chunk
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def _as_is(url: str) -> URL:
    """Not quoted again: a selector must arrive as it was sent."""
    return URL(url, encoded=True)


def _reset(transport: asyncio.BaseTransport) -> None:
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert isinstance(transport, asyncio.WriteTransport)
    transport.abort()
