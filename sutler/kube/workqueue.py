"""The work queue: keys that want a look, each handled by one worker at a time, failures again later.

A key says only *what* to look at, never what has happened: whoever handles it reads the present state. So repeats are
one, nothing is lost when a worker dies in the middle, and order does not matter.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import NoReturn

from sutler import log
from sutler.errors import SutlerError
from sutler.kube import metrics
from sutler.kube.backoff import Backoff
from sutler.kube.errors import ApiError, Conflict, LeaseLost

_log = log.get(__name__)

# A key that fails is not tried again sooner for news about it than this: its own failing may be what makes the news.
_NEWS_PAUSE = 1.0

Handle = Callable[[str], Awaitable[float | None]]


@dataclass
class _Failing:
    """A key's failures in a row, and the moment before which not even news bring it back."""

    count: int = 0
    not_before: float = 0.0


class WorkQueue:
    """Keys can be added at any time, from callbacks too; they wait until `run` works on them.

    `run` may be cancelled and called again (a lease lost and won): what was being worked on then is taken up again.
    """

    def __init__(self, name: str, *, workers: int, backoff: Backoff | None = None) -> None:
        self._name = name
        self._workers = workers
        self._backoff = backoff or Backoff(first=0.2, most=300.0)
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
        """Keys that wait for a worker, those of `add_after` not counted."""
        return len(self._waiting)

    def add(self, key: str) -> None:
        """Look at `key` soon: at once, or as soon as the worker on it is done, or when its failing allows."""
        failing = self._failing.get(key)
        if failing is not None and (pause := failing.not_before - monotonic()) > 0:
            self.add_after(key, pause)
            return
        self._put(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Look at `key` in so many seconds; the earliest of several such wishes counts."""
        loop = asyncio.get_running_loop()
        planned = self._later.get(key)
        if planned is not None:
            if planned.when() <= loop.time() + seconds:
                return
            planned.cancel()
        self._later[key] = loop.call_later(seconds, self._due, key)

    async def run(self, handle: Handle) -> NoReturn:
        """Let `workers` tasks call `handle` with key after key.

        It returns None when there is nothing more to do, or the seconds after which to look again. When it raises, the
        key comes back after a growing delay, or after what the API server asked for if that is more.
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
            again = True  # unless it comes to an end
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
            look_again = await handle(key)
        except LeaseLost:
            # Not this key's fault: whoever leads next, perhaps this process, takes it up.
            self.add_after(key, self._backoff.first)
        except Exception as error:  # noqa: BLE001 - one poisoned object must not end the work on the others
            self._failed(key, error)
        else:
            self._failing.pop(key, None)
            if look_again is not None:
                self.add_after(key, look_again)

    def _failed(self, key: str, error: Exception) -> None:
        failing = self._failing.setdefault(key, _Failing())
        failing.count += 1
        delay = self._backoff.delay(failing.count)
        if isinstance(error, ApiError) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
            failing.not_before = monotonic() + delay
        else:
            failing.not_before = monotonic() + min(delay, _NEWS_PAUSE)
        self._retries.inc()
        self.add_after(key, delay)
        said = {"queue": self._name, "key": key, "failures": failing.count, "again_in": round(delay, 1)}
        if isinstance(error, Conflict):
            _log.debug("somebody was faster", error=str(error), **said)
        elif isinstance(error, SutlerError):
            _log.warning("failed", error=str(error), **said)
        else:
            _log.error("failed by a defect", exc_info=error, **said)
