"""Runs blocking calls in threads, so that they never block the event loop.

librbd has few asynchronous calls, and any call can hang for as long as Ceph does. The standard library's executor waits
for its threads when the process ends, so one hung call would keep the process from stopping. The threads of this pool
are daemons, their number is fixed, and a caller waits only until its deadline.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from provisioner.ceph.errors import CephUnavailable, OutcomeUnknown

T = TypeVar("T")

LastActivity = Callable[[], float]
"""Returns when a call last reported progress, by time.monotonic."""

TURN_SECONDS = 30.0
"""The longest time to wait for another call that changes the same."""


class InFlight:
    """The keys of running calls. Pools whose calls may change the same objects share one."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Event] = {}
        """The event is set when the call is overdue, or when it returns and is removed from here."""

    def is_free(self, key: str) -> bool:
        return key not in self._running

    async def wait_free(self, key: str, seconds: float) -> None:
        """Waits until no call with this key runs.

        Raises CephUnavailable after `seconds`, and at once if a running call is overdue: it may never return.
        """
        try:
            async with asyncio.timeout(seconds):
                while (running := self._running.get(key)) is not None and not running.is_set():
                    await running.wait()
        except TimeoutError:
            pass
        if key in self._running:
            raise CephUnavailable(f"{key}: an earlier call to Ceph has not returned yet")

    def begin(self, key: str) -> None:
        self._running[key] = asyncio.Event()

    def mark_overdue(self, key: str) -> None:
        """No effect if the call has returned, as one that raises TimeoutError itself."""
        if key in self._running:
            self._running[key].set()

    def end(self, key: str) -> None:
        self._running.pop(key).set()


class ThreadPool:
    def __init__(self, name: str, in_flight: InFlight, *, size: int, patience: float) -> None:
        """Runs up to `size` calls at a time.

        While all threads are busy, and one call has run for `patience` seconds, further calls raise CephUnavailable
        instead of waiting for a thread.
        """
        self._name = name
        self._size = size
        self._patience = patience
        self._free = asyncio.Semaphore(size)
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._started = 0
        self._in_flight = in_flight
        self._calls: dict[asyncio.Future[None], float] = {}
        self._abandoned: set[asyncio.Future[Any]] = set()

    async def call(
        self, key: str, work: Callable[[], T], *, deadline: float, last_activity: LastActivity | None = None
    ) -> T:
        """Runs `work` in a thread. `key` names what it changes: calls with the same key run one after the other.

        Raises OutcomeUnknown after `deadline` seconds without a result or progress. The thread continues, and until
        `work` returns, every other call with its key raises CephUnavailable. So does a call that waits for its turn for
        longer than its deadline, or TURN_SECONDS.
        """
        turn = time.monotonic() + min(deadline, TURN_SECONDS)
        while True:
            await self._in_flight.wait_free(key, max(0.0, turn - time.monotonic()))
            await self._acquire_thread()
            if self._in_flight.is_free(key):
                break
            self._free.release()
        future = self._start(key, work)
        try:
            return await self._wait_result(future, deadline, last_activity)
        except TimeoutError:
            self._in_flight.mark_overdue(key)
            self._replace_thread(future)
            raise OutcomeUnknown(f"{self._name}: {key}: Ceph did not answer within {deadline:g} s") from None
        finally:
            future.cancel()  # no effect on one that is done

    async def _wait_result(self, future: "asyncio.Future[T]", deadline: float, last_activity: LastActivity | None) -> T:
        left = deadline
        while True:
            try:
                # Not wait_for: before Python 3.12 it loses a cancellation that arrives together with the result.
                async with asyncio.timeout(left):
                    return await asyncio.shield(future)
            except TimeoutError:
                if future.done():
                    return future.result()
                left = deadline - (time.monotonic() - last_activity()) if last_activity is not None else 0.0
                if left <= 0:
                    raise

    def _replace_thread(self, future: "asyncio.Future[Any]") -> None:
        """Lets another thread start instead of one whose call may never return."""
        if len(self._abandoned) < self._size:
            self._abandoned.add(future)
            self._free.release()

    async def _acquire_thread(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    await self._free.acquire()
            except TimeoutError:
                oldest = min(self._calls.values(), default=time.monotonic())
                if time.monotonic() - oldest >= self._patience:
                    raise CephUnavailable(f"{self._name}: all {self._size} threads are waiting for Ceph") from None
            else:
                return

    async def wait_idle(self, seconds: float) -> bool:
        """Waits until no call runs. Returns False if some still run after `seconds`."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=seconds)
        return not self._calls

    def _start(self, key: str, work: Callable[[], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        done: asyncio.Future[None] = loop.create_future()
        self._in_flight.begin(key)
        self._calls[done] = time.monotonic()

        def finish(value: T | None, error: BaseException | None) -> None:
            self._in_flight.end(key)
            del self._calls[done]
            done.set_result(None)
            if future in self._abandoned:
                self._abandoned.discard(future)
            else:
                self._free.release()
            if future.cancelled():
                return  # the caller has stopped waiting
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)  # type: ignore[arg-type] # None is T where work returns None

        def job() -> None:
            value: Any = None
            failure: BaseException | None = None
            try:
                value = work()
            except BaseException as error:  # noqa: BLE001 - passed on to the caller
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed, and no caller waits
                loop.call_soon_threadsafe(finish, value, failure)

        if self._started < min(self._size + len(self._abandoned), len(self._calls)):
            self._started += 1
            threading.Thread(target=self._serve, name=f"ceph-{self._name}-{self._started}", daemon=True).start()
        self._jobs.put(job)
        return future

    def _serve(self) -> None:
        while True:
            self._jobs.get()()
