"""The work queue, without a server."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sutler import log
from sutler.kube.backoff import Backoff
from sutler.kube.errors import Conflict, LeaseLost, TooManyRequests, Unavailable
from sutler.kube.workqueue import Handle, WorkQueue
from sutler.metrics import REGISTRY
from tests.cluster.wait import wait_for_async
from tests.kube.running import running

FAST = Backoff(first=0.02, most=0.2)


@asynccontextmanager
async def working(handle: Handle, *, name: str = "test", workers: int = 2) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue(name, workers=workers, backoff=FAST)
    async with running(queue.run(handle)):
        yield queue


class Handler:
    """Records what it is called with, and fails as requested."""

    def __init__(self, **failures: list[Exception | float | None]) -> None:
        self.calls: list[str] = []
        self.times: list[float] = []
        self._outcomes = failures

    async def __call__(self, key: str) -> float | None:
        self.calls.append(key)
        self.times.append(asyncio.get_running_loop().time())
        outcomes = self._outcomes.get(key)
        outcome = outcomes.pop(0) if outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def called(self, times: int) -> None:
        async def enough() -> bool:
            return len(self.calls) >= times

        await wait_for_async(enough, f"{times} calls")
        await asyncio.sleep(0.05)
        assert len(self.calls) == times


def metric(name: str, queue: str) -> float:
    return REGISTRY.get_sample_value(name, {"name": queue}) or 0.0


async def test_repeats_of_a_waiting_key_are_one() -> None:
    handler = Handler()
    queue = WorkQueue("repeats", workers=1)
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert metric("workqueue_depth", "repeats") == 2
    assert metric("workqueue_adds_total", "repeats") == 2
    async with running(queue.run(handler)):
        await handler.called(2)
    assert handler.calls == ["a", "b"]
    assert metric("workqueue_depth", "repeats") == 0
    assert metric("workqueue_work_duration_seconds_count", "repeats") == 2


async def test_key_added_while_worked_on_is_worked_on_again() -> None:
    handler = Handler()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handle(key: str) -> float | None:
        entered.set()
        await leave.wait()
        return await handler(key)

    async with working(handle) as queue:
        queue.add("a")
        await entered.wait()
        queue.add("a")
        queue.add("a")
        leave.set()
        await handler.called(2)


async def test_one_key_has_one_worker_and_workers_are_bounded() -> None:
    at_work: Counter[str] = Counter()
    most = 0
    done = 0

    async def handle(key: str) -> float | None:
        nonlocal most, done
        at_work[key] += 1
        assert at_work[key] == 1
        most = max(most, at_work.total())
        await asyncio.sleep(0.001)
        at_work[key] -= 1
        done += 1
        return None

    async with working(handle, workers=3) as queue:
        for number in range(600):
            queue.add(f"key{number % 7}")
            if number % 5 == 0:
                await asyncio.sleep(0)

        async def finished() -> bool:
            return not queue and not at_work.total()

        await wait_for_async(finished, "the queue to be empty")
    assert most == 3
    assert done >= 7


async def test_failing_key_backs_off_and_delays_no_other() -> None:
    handler = Handler(poison=[Unavailable(500)] * 1000)
    async with working(handler, workers=1) as queue:
        queue.add("poison")
        for number in range(100):
            queue.add(f"good{number}")

        async def all_good() -> bool:
            return len({call for call in handler.calls if call.startswith("good")}) == 100

        await wait_for_async(all_good, "the others")
        before, began = len(handler.calls), asyncio.get_running_loop().time()

        async def eight_more() -> bool:
            return len(handler.calls) >= before + 8

        await wait_for_async(eight_more, "tries")
        assert asyncio.get_running_loop().time() - began > 0.5, "pauses that grow"


async def test_delays_grow_and_are_reset_by_success(capsys: pytest.CaptureFixture[str]) -> None:
    error = Unavailable(500)
    handler = Handler(a=[error, error, error, None, error, None])
    queue = WorkQueue("delays", workers=2, backoff=Backoff(first=0.2, most=60))
    async with running(queue.run(handler)):
        queue.add("a")
        await handler.called(4)
        queue.add("a")
        await handler.called(6)
    # The delays as logged: on a busy machine, the calls themselves come later.
    first, second, third, reset = (float(each) for each in re.findall(r"again_in=([\d.]+)", capsys.readouterr().out))
    assert first < second < third
    assert reset < second
    waited = [b - a for a, b in zip(handler.times, handler.times[1:], strict=False)]
    assert waited[0] > first - 0.06, "the delay is waited for"
    assert metric("workqueue_retries_total", "delays") == 4


async def test_handler_says_when_to_look_again() -> None:
    handler = Handler(a=[0.2])
    async with working(handler) as queue:
        queue.add("a")
        await handler.called(2)
    assert handler.times[1] - handler.times[0] >= 0.19


async def test_earliest_of_several_delays_counts() -> None:
    handler = Handler()
    async with working(handler) as queue:
        queue.add_after("a", 60)
        queue.add_after("a", 0.1)
        queue.add_after("a", 30)
        assert len(queue) == 0
        await handler.called(1)


async def test_news_about_a_failing_key_wait_for_its_pause() -> None:
    """Its own failing may make the news: a status written at each try must not become a tight loop."""
    queue = WorkQueue("news", workers=1, backoff=Backoff(first=0.3, most=60))
    handler = Handler(a=[Unavailable(500)])
    async with running(queue.run(handler)):
        queue.add("a")
        await wait_for_async(_called(handler), "the first try")
        queue.add("a")
        await handler.called(2)
    assert 0.2 <= handler.times[1] - handler.times[0] < 30


async def test_pause_that_the_server_asked_for_is_kept() -> None:
    handler = Handler(a=[TooManyRequests(429, retry_after=0.5)])
    async with working(handler) as queue:
        queue.add("a")
        await wait_for_async(_called(handler), "the first try")
        queue.add("a")
        await handler.called(2)
    assert handler.times[1] - handler.times[0] >= 0.49


async def test_pause_that_the_server_asked_for_outlasts_other_plans() -> None:
    handler = Handler(a=[TooManyRequests(429, retry_after=0.5)])
    async with working(handler) as queue:
        queue.add("a")
        queue.add_after("a", 0.1)
        await handler.called(2)
    assert handler.times[1] - handler.times[0] >= 0.49


async def test_work_that_was_cancelled_is_taken_up_by_the_next_run() -> None:
    queue = WorkQueue("again", workers=2, backoff=FAST)
    entered = asyncio.Event()

    async def hang(_: str) -> float | None:
        entered.set()
        await asyncio.Event().wait()
        return None

    async with running(queue.run(hang)):
        queue.add("a")
        await entered.wait()
    handler = Handler()
    async with running(queue.run(handler)):
        await handler.called(1)
    assert handler.calls == ["a"]


async def test_lost_lease_is_no_failure_of_the_key() -> None:
    handler = Handler(a=[LeaseLost("lost")])
    async with working(handler, name="lease") as queue:
        queue.add("a")
        await handler.called(2)
    assert metric("workqueue_retries_total", "lease") == 0


@pytest.mark.usefixtures("restored_logging")
async def test_log_tells_defects_from_failures(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup("info", "json")
    handler = Handler(
        a=[Unavailable(503, message="later")], b=[ValueError("canary-value")], c=[Conflict(409, "Conflict", "changed")]
    )
    async with working(handler) as queue:
        for key in "abc":
            queue.add(key)
        await handler.called(6)
    said = capsys.readouterr().err
    assert '"error": "503: later"' in said
    assert '"event": "unhandled error"' in said
    assert "ValueError" in said
    assert Path(__file__).name in said
    assert "canary-value" not in said
    assert "changed" not in said


def _called(handler: Handler) -> Any:
    async def condition() -> bool:
        return bool(handler.calls)

    return condition
