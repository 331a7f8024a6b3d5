"""How much is taken on at once.

What is too much is answered with 503, which costs little; the API server tries again until its own time is over.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import NoReturn

_HEARTBEAT = 0.1


@dataclass(frozen=True)
class ConcurrencyLimits:
    """Of one process."""

    bodies: int = 1024
    """That may be on their way at once. A body that came together with its head does not count."""
    size: int = 64 * 1024**2
    """Bytes that have come of them. Those that have sent little take up little."""
    connections: int = 1000
    """Open at once. An API server keeps 25 of them when idle; each takes up to 100 KiB."""
    lag: float = 1.0
    """Seconds that a request may wait for its turn. The API server gives up after three."""


class OverloadedError(Exception):
    pass


class LoadLimiter:
    def __init__(self, limits: ConcurrencyLimits) -> None:
        self.limits = limits
        self.bodies = 0
        self.size = 0
        self.lag = 0.0

    async def watch_lag(self) -> NoReturn:
        """A timer comes as late as a request does that arrived with it."""
        while True:
            due = perf_counter() + _HEARTBEAT
            await asyncio.sleep(_HEARTBEAT)
            self.lag = perf_counter() - due

    @contextmanager
    def body(self) -> Iterator["BodyBudget"]:
        """Room for one that comes in pieces. Raises TooMuch."""
        if self.bodies >= self.limits.bodies:
            raise OverloadedError
        room = BodyBudget(self)
        self.bodies += 1
        try:
            yield room
        finally:
            self.bodies -= 1
            self.size -= room.size


class BodyBudget:
    def __init__(self, load: LoadLimiter) -> None:
        self._load = load
        self.size = 0

    def take(self, size: int) -> None:
        """Raises TooMuch."""
        self.size += size
        self._load.size += size
        if self._load.size > self._load.limits.size:
            raise OverloadedError
