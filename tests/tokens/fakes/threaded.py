"""A fake cloud in a thread of its own, for tests that wait for processes."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from tests.cluster import Place
from tests.tokens.fakes.cloud import FakeCloud

C = TypeVar("C", bound=FakeCloud)


@contextmanager
def running_cloud(cloud: C, place: Place | None = None) -> Iterator[C]:
    """It serves in `place`; default: where the tests run."""
    loop = asyncio.new_event_loop()

    def run() -> None:
        (place or Place.host()).enter()
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(cloud.__aenter__(), loop).result(10)
        yield cloud
    finally:
        asyncio.run_coroutine_threadsafe(cloud.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
