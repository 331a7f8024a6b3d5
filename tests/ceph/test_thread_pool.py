"""Blocking calls that hang, that take long and report progress, and that return at the deadline."""

import asyncio
import threading
import time
from collections import Counter
from functools import partial

import pytest

from provisioner.ceph.errors import CephUnavailable, OutcomeUnknown
from provisioner.ceph.thread_pool import InFlight, ThreadPool


async def test_calls_that_never_return_take_no_thread_from_the_others() -> None:
    """Some of librbd's do not, and each took one of the threads for good."""
    threads = ThreadPool("Ceph", InFlight(), size=2, patience=0.05)
    forever = threading.Event()
    for number in range(2):
        with pytest.raises(OutcomeUnknown, match=f"image {number}: Ceph did not answer within"):
            await threads.call(f"image {number}", forever.wait, deadline=0.05)
    with pytest.raises(CephUnavailable, match="image 0: an earlier call to Ceph has not returned"):
        await threads.call("image 0", forever.wait, deadline=0.05)
    assert await threads.call("another", lambda: "answered", deadline=5) == "answered"
    forever.set()
    assert await threads.wait_idle(5)
    assert await threads.call("image 0", lambda: "answered", deadline=5) == "answered"


async def test_calls_that_change_the_same_run_one_after_the_other() -> None:
    running = InFlight()
    pools = [ThreadPool("Ceph", running, size=4, patience=5) for _ in range(2)]
    at_once = Counter[str]()

    def work(key: str) -> int:
        at_once[key] += 1
        seen = at_once[key]
        time.sleep(0.02)  # long enough that another would run beside it
        at_once[key] -= 1
        return seen

    keys = ["image 0", "image 1"] * 8
    calls = [pools[n % 2].call(key, partial(work, key), deadline=5) for n, key in enumerate(keys)]
    assert await asyncio.gather(*calls) == [1] * len(keys)


async def test_call_waits_no_longer_for_its_turn_than_for_its_result() -> None:
    threads = ThreadPool("Ceph", InFlight(), size=2, patience=5)
    over = threading.Event()
    first = asyncio.create_task(threads.call("image", lambda: over.wait(10), deadline=10))
    await asyncio.sleep(0)
    with pytest.raises(CephUnavailable, match="image: an earlier call to Ceph has not returned"):
        await threads.call("image", lambda: None, deadline=0.05)
    over.set()
    assert await first


async def test_ceph_that_hangs_altogether_is_still_noticed() -> None:
    """Threads are replaced once: a Ceph that never answers must not get new ones for ever."""
    threads = ThreadPool("Ceph", InFlight(), size=1, patience=0.05)
    forever = threading.Event()
    for number in range(2):
        with pytest.raises(OutcomeUnknown):
            await threads.call(f"image {number}", forever.wait, deadline=0.05)
    with pytest.raises(CephUnavailable, match="all 1 threads are waiting"):
        await threads.call("another", lambda: "answered", deadline=0.05)
    forever.set()
    assert await threads.wait_idle(5)


async def test_call_that_reports_progress_may_exceed_its_deadline() -> None:
    threads = ThreadPool("Ceph", InFlight(), size=1, patience=5)
    seen = time.monotonic()
    done = threading.Event()

    async def live() -> None:
        nonlocal seen
        for _ in range(20):
            seen = time.monotonic()
            await asyncio.sleep(0.02)
        done.set()

    living = asyncio.create_task(live())
    assert await threads.call("image", lambda: done.wait(10), deadline=0.2, last_activity=lambda: seen)
    await living
    with pytest.raises(OutcomeUnknown):
        await threads.call("image", lambda: threading.Event().wait(1), deadline=0.05, last_activity=lambda: seen)
