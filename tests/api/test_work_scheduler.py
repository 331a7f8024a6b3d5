"""Long work on huge images leaves threads for all else."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from provisioner.api import work_scheduler
from provisioner.api.work_scheduler import HUGE_IMAGE_OBJECTS, WorkScheduler
from provisioner.ceph.removal_progress import Cancelled, ignore_progress


async def begin(found: WorkScheduler, stack: AsyncExitStack, pool: str, objects: int = HUGE_IMAGE_OBJECTS) -> bool:
    """Whether it may begin at once."""
    try:
        async with asyncio.timeout(0.05):
            await stack.enter_async_context(found.acquire(pool, objects, ignore_progress))
    except TimeoutError:
        return False
    return True


async def test_huge_images_of_one_pool_and_of_all_leave_threads_for_others() -> None:
    found = WorkScheduler(8)
    async with AsyncExitStack() as stack:
        assert [await begin(found, stack, "a") for _ in range(3)] == [True, True, False]
        assert [await begin(found, stack, "b") for _ in range(3)] == [True, True, False]
        assert not await begin(found, stack, "c")
        assert await begin(found, stack, "a", HUGE_IMAGE_OBJECTS - 1)


async def test_huge_image_begins_when_another_one_is_done() -> None:
    found = WorkScheduler(4)
    async with AsyncExitStack() as waiting:
        async with AsyncExitStack() as first:
            assert await begin(found, first, "a")
            assert not await begin(found, waiting, "a")
        assert await begin(found, waiting, "a")


async def test_waiting_work_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_scheduler, "_CANCEL_CHECK_SECONDS", 0.01)
    found = WorkScheduler(4)

    def stop(_: float) -> None:
        raise Cancelled("enough")

    async with found.acquire("a", HUGE_IMAGE_OBJECTS, ignore_progress):
        with pytest.raises(Cancelled, match="enough"):
            async with found.acquire("a", HUGE_IMAGE_OBJECTS, stop):
                pass
