"""One change at a time for each image: the second one waits, but not behind work that may take hours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from provisioner.api import operations
from provisioner.api.operations import Operation
from provisioner.api.problem import ProblemError, ProblemKind

_PATIENCE = 5.0
"""Seconds to wait for another change of the same image."""


@dataclass(slots=True)
class ImageLock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    operation: Operation | None = None
    """The long work that has it, if that is what has it."""


class ImageLocks:
    def __init__(self) -> None:
        self._turns: dict[str, ImageLock] = {}

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[ImageLock]:
        """Raises ProblemError when an operation has the key, or when waiting for another change takes too long."""
        turn = self._turns.setdefault(key, ImageLock())
        turn.users += 1
        try:
            _refuse_if_held(turn)
            await _acquire(turn, key)
            try:
                yield turn
            finally:
                turn.lock.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]


async def _acquire(turn: ImageLock, key: str) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            await turn.lock.acquire()
    except TimeoutError:
        _refuse_if_held(turn)
        raise ProblemError(ProblemKind.BUSY, f"{key} is being changed by another request: try again") from None
    if turn.operation is not None:
        turn.lock.release()
        _refuse_if_held(turn)


def _refuse_if_held(turn: ImageLock) -> None:
    if turn.operation is None:
        return
    target = turn.operation.target
    raise ProblemError(
        ProblemKind.BUSY,
        f"{target.kind} of image {target.image} is under way: wait for it, or cancel it where it can be",
        operation=operations.path(turn.operation),
    )
