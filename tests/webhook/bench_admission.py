"""How fast the webhook answers, next to a bare aiohttp server that answers a constant. Run it as a script.

Both over TLS, on uvloop, alone on one core, kept-alive connections; the load comes from a process on the other core.
Rounds of the two alternate, so that whatever else the machine does hits both.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import cast

import uvloop
from aiohttp import web

from certs.issue import Names, new_authority, new_leaf
from sutler.registry import LabelSelector, Mapping
from webhook.server import make_runner
from webhook.serving import spare_collector
from webhook.state import State

REPOSITORY = Path(__file__).parents[2]
SIZES = (3, 100, 10_000)
CONNECTIONS = (8, 32)
IMAGES = 60  # different Pods in one run
CORES = sorted(os.sched_getaffinity(0))


def mappings(count: int) -> list[Mapping]:
    """A third each: plain hosts, hosts with globs, paths of one registry."""
    templates = ("registry-{}.example.com", "*.team-{}.example.com", "quay.io/team-{}")
    return [Mapping(f"m{n}", (templates[n % 3].format(n),), f"pull-secret-{n}", LabelSelector()) for n in range(count)]


def review(number: int) -> bytes:
    """About 5 KB, two containers and an init container, of which two need a pull secret."""
    images = (
        f"registry-{number - number % 3}.example.com/acme/app:1.{number}",
        f"eu.team-{number - number % 3 + 1}.example.com/acme/sidecar@sha256:{'a' * 64}",
        "docker.io/library/busybox:1.36",
    )
    container = {
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "env": [{"name": f"SETTING_{n}", "value": "x" * 24} for n in range(12)],
        "volumeMounts": [
            {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
        ],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
    app, sidecar, init = ({"name": f"c{n}", "image": image, **container} for n, image in enumerate(images))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "app-5d4f8c7b9-",
            "namespace": "default",
            "labels": {"app": "app", "pod-template-hash": "5d4f8c7b9"},
            "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z", "note": "y" * 600},
        },
        "spec": {
            "containers": [app, sidecar],
            "initContainers": [init],
            "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
            "serviceAccountName": "default",
            "restartPolicy": "Always",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
        },
    }
    request = {
        "uid": f"705ab4f5-6393-11e8-b7cc-{number:012}",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "default",
        "operation": "CREATE",
        "userInfo": {
            "username": "system:serviceaccount:kube-system:replicaset-controller",
            "uid": "1",
            "groups": ["a"],
        },
        "object": pod,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    return json.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).encode()


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

    def round(self, connections: int, seconds: float, bodies: list[bytes]) -> "Round":
        before = self.cpu()
        latencies, took = uvloop.run(load(self.port, connections, seconds, bodies))
        cpu = (self.cpu() - before) / len(latencies)
        return Round(len(latencies) / took, statistics.quantiles(latencies, n=100)[98] * 1000, cpu * 1e6)


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
    """One connection that, once started, sends the next request as soon as it has an answer."""

    def __init__(self, bodies: list[bytes], latencies: list[float]) -> None:
        self._requests = [
            b"POST /mutate?timeout=3s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Accept: application/json\r\nUser-Agent: kube-apiserver\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
            for body in bodies
        ]
        self._latencies = latencies
        self._next = 0
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without deriving from it

    def start(self, end: float) -> None:
        self._end = end
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200") or b'"allowed":true' not in body:
            self.done.set_exception(RuntimeError(self._buffer[:300].decode()))
            return
        now = perf_counter()
        self._latencies.append(now - self._began)
        self._buffer = b""
        if now < self._end:
            self._send()
        else:
            self._transport.close()
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def _send(self) -> None:
        self._began = perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1


@dataclass(frozen=True)
class Round:
    rate: float
    p99: float
    cpu: float
    """Microseconds of the server's core for one request: the rate's inverse on a machine that does nothing else."""


async def load(port: int, connections: int, seconds: float, bodies: list[bytes]) -> tuple[list[float], float]:
    """The latencies of all requests, and how long they took together."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(bodies, latencies), "127.0.0.1", port, ssl=context))[1]
        for _ in range(connections)
    ]
    begin = perf_counter()
    for client in clients:
        client.start(begin + seconds)
    await asyncio.gather(*(client.done for client in clients))
    return latencies, perf_counter() - begin


def measure(seconds: float, rounds: int) -> list[dict[str, float]]:
    """One row for each number of mappings and of connections."""
    bodies = [review(number) for number in range(IMAGES)]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = new_authority(dt.datetime.now(dt.UTC))
        leaf = new_leaf(authority, Names(("localhost",)), dt.datetime.now(dt.UTC))
        (folder / "tls.crt").write_bytes(leaf.certificate)
        (folder / "tls.key").write_bytes(leaf.key)
        pin(1)()
        for size in SIZES:
            with server("bare", folder) as theirs, server(str(size), folder) as ours:
                memory = {"MiB idle": ours.memory()}
                for connections in CONNECTIONS:
                    pairs = [
                        tuple(one.round(connections, seconds, bodies) for one in (theirs, ours)) for _ in range(rounds)
                    ]
                    memory["MiB after"] = ours.memory()
                    rows.append({"mappings": size, "connections": connections, **compared(pairs), **memory})
    return rows


def compared(pairs: list[tuple[Round, ...]]) -> dict[str, float]:
    """Medians of the rounds. The ratios are those of each pair, measured one right after the other."""
    median = statistics.median
    return {
        "bare rate": median(bare.rate for bare, _ in pairs),
        "ours rate": median(ours.rate for _, ours in pairs),
        "rate ratio": median(ours.rate / bare.rate for bare, ours in pairs),
        "bare CPU": median(bare.cpu for bare, _ in pairs),
        "ours CPU": median(ours.cpu for _, ours in pairs),
        "CPU ratio": median(bare.cpu / ours.cpu for bare, ours in pairs),
        "bare p99": median(bare.p99 for bare, _ in pairs),
        "ours p99": median(ours.p99 for _, ours in pairs),
        "p99 ratio": median(ours.p99 / bare.p99 for bare, ours in pairs),
    }


def show(rows: list[dict[str, float]]) -> None:
    formats = {"rate ratio": ".3f", "CPU ratio": ".3f", "p99 ratio": ".2f", "bare p99": ".2f", "ours p99": ".2f"}
    print("rates in requests/s, CPU of the server in µs/request, p99 in ms; medians of the rounds")
    print("  ".join(f"{name:>11}" for name in rows[0]))
    for one in rows:
        print("  ".join(f"{value:>11{formats.get(name, '.0f')}}" for name, value in one.items()))
    for connections in CONNECTIONS:
        for figure in ("rate ratio", "CPU ratio"):
            found = [one[figure] for one in rows if one["connections"] == connections]
            spread = min(found) / max(found)
            print(
                f"{connections} connections: the {figure} of the worst number of mappings is {spread:.3f} of the best's"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is None:
        show(measure(arguments.seconds, arguments.rounds))
        return
    if arguments.serve == "bare":
        uvloop.run(serve(bare, arguments.folder))
    else:
        state = State.fixed(mappings(int(arguments.serve)), {"default": {}})
        spare_collector()
        uvloop.run(serve(lambda: make_runner(state), arguments.folder))


if __name__ == "__main__":
    main()
