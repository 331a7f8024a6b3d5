"""How fast the REST API lists, creates and deletes images, next to bare librbd calls in the same run. Run as a script.

One Ceph (memory store), one `python -m provisioner api` over TLS, sixteen connections; the bare calls run in sixteen
threads of this process. Rounds of the two alternate, so that other work of the machine affects both.
"""

import argparse
import asyncio
import json
import ssl
import statistics
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import rados
import rbd
import uvloop

from tests.api.client import ADMIN
from tests.api.conftest import Service
from tests.cluster import Ceph, Place

CONNECTIONS = 16
SIZE = 1 << 30
FEATURES = {"layering": 1, "default": 61}
POOL = "bench"


@dataclass(frozen=True)
class Rates:
    """Images a second."""

    create: float
    delete: float


@contextmanager
def running() -> Iterator[tuple[Service, Any]]:
    with Place.host() as place, tempfile.TemporaryDirectory() as name:
        ceph = Ceph(Path(name) / "ceph", place)
        ceph.start()
        try:
            ceph.pool(POOL)
            service = Service(place, ceph, Path(name))
            service.start()
            try:
                with rados.Rados(conffile=str(ceph.conf)) as cluster, cluster.open_ioctx(POOL) as ioctx:
                    yield service, ioctx
            finally:
                service.process.stop()
        finally:
            ceph.stop()


def timed(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def bare(ioctx: Any, names: list[str], features: int) -> Rates:
    librbd = rbd.RBD()

    def create(name: str) -> None:
        librbd.create(ioctx, name, SIZE, old_format=False, features=features)

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        made = timed(lambda: list(threads.map(create, names)))
        removed = timed(lambda: list(threads.map(lambda name: librbd.remove(ioctx, name), names)))
    return Rates(len(names) / made, len(names) / removed)


class Connection:
    """One kept-alive connection, as light as can be: what the client costs, the service can't use."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, service: Service, context: ssl.SSLContext) -> "Connection":
        port = int(service.url.rpartition(":")[2])
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost"))

    async def ask(self, method: str, path: str, body: bytes = b"", prefer: str = "wait=20") -> tuple[int, bytes]:
        head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nPrefer: {prefer}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        return int(answer[9:12]), await self._reader.readexactly(int(length or 0))


def asked(service: Service, work: Callable[[list[Connection]], Any]) -> Any:
    """Runs a coroutine function with sixteen connections."""
    context = ssl.create_default_context(cafile=str(service.api.authority))

    async def connected() -> Any:
        return await work([await Connection.open(service, context) for _ in range(CONNECTIONS)])

    return uvloop.run(connected())


async def each(connections: list[Connection], names: list[str], ask: Callable[[Connection, str], Any]) -> float:
    """All connections at a time; images a second."""
    waiting = iter(names)

    async def client(connection: Connection) -> None:
        for name in waiting:
            await ask(connection, name)

    began = perf_counter()
    await asyncio.gather(*map(client, connections))
    return len(names) / (perf_counter() - began)


def ours(service: Service, names: list[str], features: list[str] | None, prefer: str) -> Rates:
    images = f"/pools/{POOL}/images"

    async def create(connection: Connection, name: str) -> None:
        body = {"name": name, "size": SIZE} | ({"features": features} if features else {})
        status, text = await connection.ask("POST", images, json.dumps(body).encode(), prefer)
        assert status == 201, text

    async def delete(connection: Connection, name: str) -> None:
        status, text = await connection.ask("DELETE", f"{images}/{name}")
        assert status == 204, text

    async def work(connections: list[Connection]) -> Rates:
        return Rates(await each(connections, names, create), await each(connections, names, delete))

    rates: Rates = asked(service, work)
    return rates


def lists(service: Service, ioctx: Any, images: int) -> list[str]:
    """Fill the pool, then list it: first page, all pages, and librbd's own list of the names alone."""
    librbd = rbd.RBD()

    def fill(number: int) -> None:
        librbd.create(ioctx, f"image-{number:06}", SIZE, old_format=False, features=1)

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        filled = timed(lambda: list(threads.map(fill, range(images))))

    async def work(connections: list[Connection]) -> dict[int, tuple[float, float]]:
        found = {}
        for limit in (100, 1000):
            firsts = []
            for _ in range(5):
                began = perf_counter()
                await page(connections[0], limit, None)
                firsts.append(perf_counter() - began)
            began = perf_counter()
            count, cursor = 0, None
            while True:
                answer = await page(connections[0], limit, cursor)
                count, cursor = count + len(answer["images"]), answer["next_cursor"]
                if cursor is None:
                    break
            assert count == images
            found[limit] = (statistics.median(firsts), perf_counter() - began)
        return found

    found = asked(service, work)
    names = min(timed(lambda: list(librbd.list2(ioctx))) for _ in range(3))
    opened = timed(lambda: [_open(ioctx, number) for number in range(100)])
    return [
        f"filled with {images} images in {filled:.0f} s",
        *(
            f"pages of {limit}: the first in {first * 1000:.0f} ms, all {images} in {whole:.2f} s"
            for limit, (first, whole) in found.items()
        ),
        f"librbd: the names alone in {names:.2f} s; opening 100 images for size and features in {opened * 1000:.0f} ms",
    ]


async def page(connection: Connection, limit: int, cursor: str | None) -> Any:
    following = f"&cursor={cursor}" if cursor else ""
    status, text = await connection.ask("GET", f"/pools/{POOL}/images?limit={limit}{following}")
    assert status == 200, text
    return json.loads(text)


def _open(ioctx: Any, number: int) -> tuple[int, int]:
    with rbd.Image(ioctx, f"image-{number:06}", read_only=True) as image:
        return image.size(), image.features()


def rates(service: Service, ioctx: Any, images: int, rounds: int) -> Iterator[str]:
    for what, bits in FEATURES.items():
        features = ["layering"] if what == "layering" else None
        for prefer in ("return=minimal", "return=representation"):
            pairs = []
            for number in range(rounds + 1):
                names = [f"{what}-{number}-{one}" for one in range(images)]
                pair = (bare(ioctx, names, bits), ours(service, names, features, prefer))
                if number:  # the first round warms up
                    pairs.append(pair)
            for action in ("create", "delete"):
                yield f"{action}, {what} features, {prefer}: {compared(pairs, action)}"


def compared(pairs: list[tuple[Rates, Rates]], action: str) -> str:
    """Medians; the ratio is that of each pair, measured one right after the other."""
    theirs, ours = ([getattr(pair[side], action) for pair in pairs] for side in (0, 1))
    ratio = statistics.median(our / their for their, our in zip(theirs, ours, strict=True))
    return f"librbd {statistics.median(theirs):.0f}/s, API {statistics.median(ours):.0f}/s, ratio {ratio:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", type=int, default=10_000, help="images to list")
    parser.add_argument("--images", type=int, default=100, help="created and deleted in one round")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with running() as (service, ioctx):
        for line in rates(service, ioctx, arguments.images, arguments.rounds):
            print(line, flush=True)
        for line in lists(service, ioctx, arguments.list):
            print(line, flush=True)


if __name__ == "__main__":
    main()
