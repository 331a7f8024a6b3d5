"""A work queue as client-go's: keys, each handled by one worker at a time, retried with back-off after failures.

A key says only *what* to handle, never what has happened: the handler reads the present state. So repeated keys are
merged, nothing is lost when a handler fails in the middle, and the order does not matter.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import NoReturn

from sutler import log
from sutler.errors import SutlerError
from sutler.kube import metrics
from sutler.kube.backoff import QUEUE_BACKOFF, Backoff
from sutler.kube.errors import ApiError, Conflict, LeaseLost

_log = log.get(__name__)

# Seconds for which a failed key is not retried by `add`: its own failure may cause the change that adds it.
_FAILURE_PAUSE_SECONDS = 1.0

Handle = Callable[[str], Awaitable[float | None]]


@dataclass
class _Failing:
    """The failures in a row of one key, and the time before which `add` does not bring it back."""

    count: int = 0
    not_before: float = 0.0


class WorkQueue:
    """Keys can be added at any time, from callbacks too; they wait for a worker of `run`.

    `run` may be cancelled and called again, after a lost lease: keys that were being handled are handled again.
    """

    def __init__(self, name: str, *, workers: int, backoff: Backoff = QUEUE_BACKOFF) -> None:
        self._name = name
        self._workers = workers
        self._backoff = backoff
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: dict[str, float] = {}
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._failing: dict[str, _Failing] = {}
        self._depth = metrics.QUEUE_DEPTH.labels(name)
        self._adds = metrics.QUEUE_ADDS.labels(name)
        self._retries = metrics.QUEUE_RETRIES.labels(name)
        self._waited = metrics.QUEUE_WAITED.labels(name)
        self._worked = metrics.QUEUE_WORKED.labels(name)

    def __len__(self) -> int:
        """The number of keys that wait for a worker, without those of `add_after`."""
        return len(self._waiting)

    def add(self, key: str) -> None:
        """Handle `key` soon: at once, after the worker that is handling it, or after the pause of a failure."""
        failing = self._failing.get(key)
        if failing is not None and (pause := failing.not_before - monotonic()) > 0:
            self.add_after(key, pause)
            return
        self._put(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Handle `key` in so many seconds. Of several such calls the earliest time counts."""
        loop = asyncio.get_running_loop()
        planned = self._later.get(key)
        if planned is not None:
            if planned.when() <= loop.time() + seconds:
                return
            planned.cancel()
        self._later[key] = loop.call_later(seconds, self._due, key)

    async def run(self, handle: Handle) -> NoReturn:
        """Call `handle` with one key after the other, in `workers` tasks.

        `handle` returns None when the key is done, or the seconds after which to handle it again. When it raises, the
        key is retried with back-off, or after the API server's Retry-After if that is longer.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._workers + 1):
                group.create_task(self._work(handle), name=f"{self._name} worker {number}")
        raise AssertionError("workers never end")

    def _put(self, key: str) -> None:
        if key in self._waiting or key in self._again:
            return
        self._adds.inc()
        if key in self._working:
            self._again.add(key)
            return
        self._waiting[key] = monotonic()
        self._depth.set(len(self._waiting))
        self._ready.put_nowait(key)

    def _due(self, key: str) -> None:
        self._later.pop(key, None)
        self.add(key)

    async def _work(self, handle: Handle) -> NoReturn:
        while True:
            key = await self._ready.get()
            started = monotonic()
            self._waited.observe(started - self._waiting.pop(key))
            self._depth.set(len(self._waiting))
            self._working.add(key)
            again = True  # unless the handler completes
            try:
                await self._handle_one(handle, key)
                again = False
            finally:
                self._working.discard(key)
                self._worked.observe(monotonic() - started)
                if again or key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _handle_one(self, handle: Handle, key: str) -> None:
        try:
            seconds = await handle(key)
        except LeaseLost:
            # Not a failure of this key: the next leader, perhaps this process, handles it.
            self.add_after(key, self._backoff.first)
        except Exception as error:  # noqa: BLE001 - one broken object must not stop the others
            self._failed(key, error)
        else:
            self._failing.pop(key, None)
            if seconds is not None:
                self.add_after(key, seconds)

    def _failed(self, key: str, error: Exception) -> None:
        failing = self._failing.setdefault(key, _Failing())
        failing.count += 1
        delay = self._backoff.delay(failing.count)
        if isinstance(error, ApiError) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
            failing.not_before = monotonic() + delay
        else:
            failing.not_before = monotonic() + min(delay, _FAILURE_PAUSE_SECONDS)
        self._retries.inc()
        self.add_after(key, delay)
        context = {"queue": self._name, "key": key, "failures": failing.count, "again_in": round(delay, 1)}
        if isinstance(error, Conflict):
            _log.debug("lost a write race", error=str(error), **context)
        elif isinstance(error, SutlerError):
            _log.warning("failed", error=str(error), **context)
        else:
            _log.error("unhandled error", exc_info=error, **context)
