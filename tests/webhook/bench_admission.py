"""How fast the webhook answers, next to a bare aiohttp server that answers a constant. Run it as a script.

Both over TLS, on uvloop, alone on one core, kept-alive connections; the load comes from a process on the other core.
All servers take short turns, one after the other, so that other work of the machine affects all of them alike.
"""

import argparse
import asyncio
import datetime as dt
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import cast

import uvloop
from aiohttp import web

from certs.pki import ServerNames, new_authority, new_leaf
from tests.webhook.reviews import distinct, mappings, repeated
from webhook.server import freeze_garbage_collector, make_runner
from webhook.state import WebhookState

REPOSITORY = Path(__file__).parents[2]
SIZES = (3, 100, 10_000)
CONNECTIONS = (8, 32)
PODS = ("repeated", "distinct")
BARE = "bare"
CORES = sorted(os.sched_getaffinity(0))


def bare() -> web.AppRunner:
    constant = b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"","allowed":true}}'

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=constant, content_type="application/json")

    app = web.Application()
    app.router.add_post("/mutate", handle)
    return web.AppRunner(app, access_log=None, keepalive_timeout=300)


async def serve(make: Callable[[], web.BaseRunner], folder: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    runner = make()
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Server:
    port: int
    pid: int

    def memory(self) -> float:
        """MiB resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def cpu(self) -> float:
        """Seconds that it has spent on a core so far."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9


@contextmanager
def server(what: str, folder: Path) -> Iterator[Server]:
    """This script again, serving, alone on the first core."""
    argv = [sys.executable, __file__, "--serve", what, "--folder", str(folder)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=env, text=True, preexec_fn=pin(0))  # noqa: PLW1509 - no threads yet
    try:
        if process.stdout is None:
            raise AssertionError
        yield Server(int(process.stdout.readline()), process.pid)
    finally:
        process.kill()
        process.wait()


def pin(core: int) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, {CORES[core % len(CORES)]})


class Client(asyncio.Protocol):
    """One connection that, while it is under way, sends the next request as soon as it has an answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without deriving from it
        self._buffer = b""
        self._done: asyncio.Future[None] | None = None

    def run(self, requests: Iterator[bytes], end: float, latencies: list[float]) -> asyncio.Future[None]:
        self._requests, self._end, self._latencies = requests, end, latencies
        self._done = asyncio.get_running_loop().create_future()
        self._send()
        return self._done

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or self._done is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200") or b'"allowed":true' not in body:
            self._done.set_exception(RuntimeError(self._buffer[:300].decode()))
            return
        now = perf_counter()
        self._latencies.append(now - self._began)
        self._buffer = b""
        if now < self._end:
            self._send()
        else:
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def close(self) -> None:
        self._transport.close()

    def _send(self) -> None:
        request = next(self._requests)
        self._began = perf_counter()
        self._transport.write(request)


@dataclass(frozen=True)
class Turn:
    rate: float
    p99: float
    cpu: float
    """Microseconds of the server's core for one request: the rate's inverse on a machine that does nothing else."""


class Load:
    """Connections to one server, kept through all turns, so that no turn pays for a handshake."""

    def __init__(self, server: Server, clients: list[Client]) -> None:
        self._server = server
        self._clients = clients

    @classmethod
    async def of(cls, server: Server, connections: int) -> "Load":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        loop = asyncio.get_running_loop()
        made = [
            (await loop.create_connection(Client, "127.0.0.1", server.port, ssl=context))[1] for _ in range(connections)
        ]
        return cls(server, made)

    async def turn(self, requests: Iterator[bytes], seconds: float) -> Turn:
        latencies: list[float] = []
        before, begin = self._server.cpu(), perf_counter()
        await asyncio.gather(*(client.run(requests, begin + seconds, latencies) for client in self._clients))
        took, cpu = perf_counter() - begin, self._server.cpu() - before
        p99 = statistics.quantiles(latencies, n=100)[98]
        return Turn(len(latencies) / took, p99 * 1e3, cpu / len(latencies) * 1e6)

    def close(self) -> None:
        for client in self._clients:
            client.close()


@dataclass(frozen=True)
class Result:
    """What was measured in turns: bare server and webhook, with each number of mappings, one right after the other."""

    pods: str
    connections: int
    bare: list[Turn]
    ours: dict[int, list[Turn]]

    def rows(self) -> Iterator[dict[str, str | float]]:
        for size, turns in self.ours.items():
            yield {
                "Pods": self.pods,
                "connections": self.connections,
                "mappings": size,
                "bare rate": median(turn.rate for turn in self.bare),
                "ours rate": median(turn.rate for turn in turns),
                "rate ratio": ratio(turns, self.bare, "rate"),
                "bare CPU": median(turn.cpu for turn in self.bare),
                "ours CPU": median(turn.cpu for turn in turns),
                "CPU ratio": ratio(self.bare, turns, "cpu"),
                "bare p99": median(turn.p99 for turn in self.bare),
                "ours p99": median(turn.p99 for turn in turns),
                "p99 ratio": ratio(turns, self.bare, "p99"),
            }

    def flatness(self) -> str:
        few, many = min(self.ours), max(self.ours)
        rate = ratio(self.ours[many], self.ours[few], "rate")
        cpu = ratio(self.ours[few], self.ours[many], "cpu")
        return (
            f"{self.pods} Pods, {self.connections} connections: with {many:,} mappings the rate is {rate:.3f} of "
            f"that with {few}, by the server's CPU {cpu:.3f}"
        )


def ratio(ours: list[Turn], theirs: list[Turn], figure: str) -> float:
    """The median of those of each turn."""
    pairs = zip(ours, theirs, strict=True)
    return median(float(getattr(mine, figure)) / float(getattr(other, figure)) for mine, other in pairs)


async def measure(servers: dict[str, Server], given: argparse.Namespace) -> list[Result]:
    results = []
    start = count(0, 10**6)  # so that no distinct Pod ever comes twice
    for connections in CONNECTIONS:
        loads = {what: await Load.of(server, connections) for what, server in servers.items()}
        for pods in PODS:
            turns: dict[str, list[Turn]] = {what: [] for what in servers}
            for turn in range(given.turns):
                order = [*servers][turn % len(servers) :] + [*servers][: turn % len(servers)]
                for what in order:
                    size = SIZES[0] if what == BARE else int(what)
                    requests = repeated(size) if pods == "repeated" else distinct(size, next(start))
                    turns[what].append(await loads[what].turn(requests, given.seconds))
            ours = {int(what): found for what, found in turns.items() if what != BARE}
            results.append(Result(pods, connections, turns[BARE], ours))
        for load in loads.values():
            load.close()
    return results


def bench(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as state, ExitStack() as stack:
        folder = Path(state)
        authority = new_authority(dt.datetime.now(dt.UTC))
        leaf = new_leaf(authority, ServerNames(("localhost",)), dt.datetime.now(dt.UTC))
        (folder / "tls.crt").write_bytes(leaf.certificate)
        (folder / "tls.key").write_bytes(leaf.key)
        pin(1)()
        servers = {what: stack.enter_context(server(what, folder)) for what in (BARE, *map(str, SIZES))}
        idle = {what: one.memory() for what, one in servers.items()}
        show(uvloop.run(measure(servers, given)))
        for what, one in servers.items():
            name = "bare server" if what == BARE else f"{int(what):,} mappings"
            print(f"{name}: {idle[what]:.0f} MiB idle, {one.memory():.0f} after")


def show(results: list[Result]) -> None:
    print("rates in requests/s, CPU of the server in µs/request, p99 in ms; medians of the turns, ratios within each")
    rows = [row for result in results for row in result.rows()]
    print("  ".join(f"{name:>11}" for name in rows[0]))
    for row in rows:
        print("  ".join(f"{_shown(name, value):>11}" for name, value in row.items()))
    for result in results:
        print(result.flatness())


def _shown(name: str, value: str | float) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:{'.2f' if 'ratio' in name or 'p99' in name else '.0f'}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn of one server")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is None:
        bench(arguments)
    elif arguments.serve == BARE:
        uvloop.run(serve(bare, arguments.folder))
    else:
        state = WebhookState.fixed(mappings(int(arguments.serve)), {"default": {}})
        freeze_garbage_collector()
        uvloop.run(serve(lambda: make_runner(state), arguments.folder))


if __name__ == "__main__":
    main()
