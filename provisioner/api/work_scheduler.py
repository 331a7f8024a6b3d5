"""Limits the long work on huge images, which may take hours, to half of the threads, and to a quarter for one pool."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from provisioner.ceph.removal_progress import ReportProgress

HUGE_IMAGE_OBJECTS = 1 << 20
"""Objects of the smallest huge image: 4 TiB in objects of 4 MiB."""
_CANCEL_CHECK_SECONDS = 1.0
"""Seconds between two checks whether waiting work was cancelled."""


class WorkScheduler:
    def __init__(self, threads: int) -> None:
        """`threads`: the number of threads for all long work."""
        self._huge = asyncio.Semaphore(max(threads // 2, 1))
        self._huge_by_pool = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(max(threads // 4, 1)))

    @asynccontextmanager
    async def acquire(self, pool: str, objects: int, progress: ReportProgress) -> AsyncIterator[None]:
        """Waits without a time-out until the work may start; `progress` raises Cancelled to stop waiting."""
        if objects < HUGE_IMAGE_OBJECTS:
            yield
            return
        async with _acquired(self._huge_by_pool[pool], progress), _acquired(self._huge, progress):
            yield


@asynccontextmanager
async def _acquired(semaphore: asyncio.Semaphore, progress: ReportProgress) -> AsyncIterator[None]:
    while True:
        try:
            async with asyncio.timeout(_CANCEL_CHECK_SECONDS):
                await semaphore.acquire()
        except TimeoutError:
            progress(0.0)
        else:
            break
    try:
        yield
    finally:
        semaphore.release()
