"""Which long work may begin: huge images, which may take hours, have half of the threads at most, and share them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from provisioner.ceph.removal_progress import ReportProgress

HUGE_IMAGE_OBJECTS = 1 << 20
"""Objects from which on an image is huge: 4 TiB in objects of 4 MiB."""
_CANCEL_CHECK_SECONDS = 1.0
"""Seconds after which one that waits asks whether it was cancelled."""


class WorkScheduler:
    def __init__(self, threads: int) -> None:
        """`threads`: for all long work."""
        self._huge = asyncio.Semaphore(max(threads // 2, 1))
        self._huge_by_pool = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(max(threads // 4, 1)))

    @asynccontextmanager
    async def acquire(self, pool: str, objects: int, progress: ReportProgress) -> AsyncIterator[None]:
        """Waits for as long as it takes; `progress` raises Cancelled to end that."""
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
