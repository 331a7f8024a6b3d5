"""How fast the REST API lists, creates and deletes images, next to bare librbd calls in the same run. Run as a script.

One Ceph (memory store), one `python -m provisioner api` over TLS, sixteen connections; the bare calls run in sixteen
threads of this process. Rounds of the two alternate, so that whatever else the machine does hits both.
"""

import argparse
import asyncio
import json
import ssl
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
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


@contextmanager
def unbound(service: Service) -> Iterator[Callable[[Any], Any]]:
    """Runs a coroutine function with a session of sixteen kept-alive connections."""
    context = ssl.create_default_context(cafile=str(service.api.authority))

    async def with_session(work: Callable[[aiohttp.ClientSession], Any]) -> Any:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=context)
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
        async with aiohttp.ClientSession(service.url, connector=connector, headers=headers) as session:
            return await work(session)

    yield lambda work: uvloop.run(with_session(work))


async def each(names: Iterable[str], ask: Callable[[str], Any]) -> float:
    """Sixteen at a time; the seconds that all took."""
    waiting = iter(list(names))

    async def client() -> None:
        for name in waiting:
            await ask(name)

    began = perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return perf_counter() - began


def ours(service: Service, names: list[str], features: list[str] | None) -> Rates:
    async def work(session: aiohttp.ClientSession) -> Rates:
        async def create(name: str) -> None:
            body = {"name": name, "size": SIZE} | ({"features": features} if features else {})
            async with session.post(f"/api/v1/pools/{POOL}/images", data=json.dumps(body)) as answer:
                assert answer.status == 201, await answer.text()
                await answer.read()

        async def delete(name: str) -> None:
            async with session.delete(f"/api/v1/pools/{POOL}/images/{name}", headers={"Prefer": "wait=20"}) as answer:
                assert answer.status == 204, await answer.text()

        made, removed = await each(names, create), await each(names, delete)
        return Rates(len(names) / made, len(names) / removed)

    with unbound(service) as run:
        rates: Rates = run(work)
    return rates


def lists(service: Service, ioctx: Any, images: int) -> list[str]:
    """Fill the pool, then list it: first page, all pages, and librbd's own list of the names alone."""
    librbd = rbd.RBD()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        fill = lambda number: librbd.create(ioctx, f"image-{number:06}", SIZE, old_format=False, features=1)  # noqa: E731 - one use
        filled = timed(lambda: list(threads.map(fill, range(images))))

    async def work(session: aiohttp.ClientSession) -> dict[int, tuple[float, float]]:
        found = {}
        for limit in (100, 1000):
            firsts = []
            for _ in range(5):
                began = perf_counter()
                await page(session, limit, None)
                firsts.append(perf_counter() - began)
            began = perf_counter()
            count, cursor = 0, None
            while True:
                answer = await page(session, limit, cursor)
                count, cursor = count + len(answer["images"]), answer["next_cursor"]
                if cursor is None:
                    break
            assert count == images
            found[limit] = (statistics.median(firsts), perf_counter() - began)
        return found

    with unbound(service) as run:
        found = run(work)
    names = min(timed(lambda: librbd.list2(ioctx) and list(librbd.list2(ioctx))) / 2 for _ in range(3))
    opened = timed(lambda: [_open(ioctx, number) for number in range(100)])
    return [
        f"filled with {images} images in {filled:.0f} s",
        *(
            f"pages of {limit}: the first in {first * 1000:.0f} ms, all {images} in {whole:.2f} s"
            for limit, (first, whole) in found.items()
        ),
        f"librbd: the names alone in {names:.2f} s; opening 100 images for size and features in {opened * 1000:.0f} ms",
    ]


async def page(session: aiohttp.ClientSession, limit: int, cursor: str | None) -> Any:
    query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
    async with session.get(f"/api/v1/pools/{POOL}/images", params=query) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def _open(ioctx: Any, number: int) -> tuple[int, int]:
    with rbd.Image(ioctx, f"image-{number:06}", read_only=True) as image:
        return image.size(), image.features()


def rates(service: Service, ioctx: Any, images: int, rounds: int) -> Iterator[str]:
    for what, bits in FEATURES.items():
        features = ["layering"] if what == "layering" else None
        pairs = []
        for number in range(rounds + 1):
            names = [f"{what}-{number}-{one}" for one in range(images)]
            pair = (bare(ioctx, names, bits), ours(service, names, features))
            if number:  # the first round warms up
                pairs.append(pair)
        for action in ("create", "delete"):
            theirs, mine = ([getattr(one[side], action) for one in pairs] for side in (0, 1))
            ratio = statistics.median(b / a for a, b in zip(theirs, mine, strict=True))
            medians = f"librbd {statistics.median(theirs):.0f}/s, API {statistics.median(mine):.0f}/s"
            yield f"{action} ({what} features): {medians}, ratio {ratio:.2f}"


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
