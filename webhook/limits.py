"""Limits of one request, and of what is processed at once, so that overload is shed instead of queued.

A request above the limits gets 503, which costs little; the API server tries again until its own time-out.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import NoReturn

LARGEST_BODY_BYTES = 8 * 1024**2
"""The API server sends object and oldObject, each up to 3 MiB of JSON, and little more."""
_HEARTBEAT_SECONDS = 0.1


@dataclass(frozen=True)
class ConcurrencyLimits:
    """Limits of one process."""

    bodies: int = 1024
    """Request bodies being received at the same time. Bodies that arrived with the head are not counted."""
    size: int = 64 * 1024**2
    """Bytes received of these bodies. A body that has sent little takes up little."""
    connections: int = 1000
    """Open connections. An API server keeps 25 idle ones; each takes up to 100 KiB."""
    lag_seconds: float = 1.0
    """How long a request may wait for its turn. The API server gives up after three seconds."""


class OverloadedError(Exception):
    """A limit is reached."""


class LoadLimiter:
    """Counts what is being processed, against the limits."""

    def __init__(self, limits: ConcurrencyLimits) -> None:
        self.limits = limits
        self.bodies = 0
        self.size = 0
        """Bytes received of all these bodies."""
        self.lag = 0.0
        """Seconds for which events wait for the event loop."""

    async def measure_lag(self) -> NoReturn:
        """Measure for ever: a timer fires as late as a request that arrived with it is processed."""
        while True:
            due = perf_counter() + _HEARTBEAT_SECONDS
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            self.lag = perf_counter() - due

    @contextmanager
    def body(self) -> Iterator["BodyBudget"]:
        """Count one body that arrives in pieces. Raises OverloadedError."""
        if self.bodies >= self.limits.bodies:
            raise OverloadedError
        budget = BodyBudget(self)
        self.bodies += 1
        try:
            yield budget
        finally:
            self.bodies -= 1
            self.size -= budget.size


class BodyBudget:
    """The bytes of one body."""

    def __init__(self, load: LoadLimiter) -> None:
        self._load = load
        self.size = 0

    def consume(self, size: int) -> None:
        """Add bytes that have arrived. Raises OverloadedError."""
        self.size += size
        self._load.size += size
        if self._load.size > self._load.limits.size:
            raise OverloadedError
