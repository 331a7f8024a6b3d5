"""A circuit breaker: while a cluster or a pool does not answer, only one call at a time probes it.

Without it, every claim of a pool that is down would occupy a worker for a whole time-out, and the claims of all other
pools would wait.
"""

import time
from collections.abc import Callable

from provisioner.ceph.errors import CephUnavailable


class CircuitBreaker:
    def __init__(
        self,
        name: str,
        *,
        probe_seconds: float,
        first_pause: float = 1.0,
        longest_pause: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the bounds of the pause between probes and the time for a probe, in seconds. Errors contain `name`."""
        self._name = name
        self._probe_seconds = probe_seconds
        self._first_pause, self._longest_pause = first_pause, longest_pause
        self._clock = clock
        self._pause = 0.0
        self._until = 0.0
        self._reason = ""

    def check(self) -> None:
        """Raises CephUnavailable while the breaker is open."""
        left = self._until - self._clock()
        if self._pause and left > 0:
            retry_after = min(left, self._longest_pause) + 0.1
            raise CephUnavailable(f"{self._name} does not answer: {self._reason}", retry_after=retry_after)

    def try_call(self) -> None:
        """Like `check`, but lets one probe through after each pause (half-open state)."""
        self.check()
        if self._pause:
            self._until = self._clock() + self._probe_seconds

    def record_success(self) -> None:
        self._pause = 0.0

    def record_failure(self, reason: str) -> None:
        self._reason = reason
        self._pause = min(self._pause * 2 or self._first_pause, self._longest_pause)
        self._until = self._clock() + self._pause
