"""Locks that allow one change of an image at a time. A second change waits, but not for an operation of hours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from provisioner.api import operations
from provisioner.api.limits import LOCK_SECONDS
from provisioner.api.operations import Operation
from provisioner.api.problem import ProblemError, ProblemKind


@dataclass(slots=True)
class ImageLock:
    mutex: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    """Requests that hold the lock or wait for it."""
    operation: Operation | None = None
    """The operation that holds the lock; None if a request holds it, or nothing does."""


class ImageLocks:
    def __init__(self) -> None:
        self._locks: dict[str, ImageLock] = {}

    @asynccontextmanager
    async def acquire(self, key: str) -> AsyncIterator[ImageLock]:
        """Locks the key. Raises ProblemError if an operation holds it, or if another change takes too long."""
        lock = self._locks.setdefault(key, ImageLock())
        lock.users += 1
        try:
            _require_no_operation(lock)
            await _acquire(lock, key)
            try:
                yield lock
            finally:
                lock.mutex.release()
        finally:
            lock.users -= 1
            if not lock.users:
                del self._locks[key]


async def _acquire(lock: ImageLock, key: str) -> None:
    try:
        async with asyncio.timeout(LOCK_SECONDS):
            await lock.mutex.acquire()
    except TimeoutError:
        _require_no_operation(lock)
        raise ProblemError(ProblemKind.BUSY, f"{key} is being changed by another request: try again") from None
    if lock.operation is not None:
        lock.mutex.release()
        _require_no_operation(lock)


def _require_no_operation(lock: ImageLock) -> None:
    if lock.operation is None:
        return
    target = lock.operation.target
    raise ProblemError(
        ProblemKind.BUSY,
        f"operation {target.kind} of image {target.image} is running: wait for it, or cancel it if it can be cancelled",
        operation=operations.path(lock.operation),
    )
