"""Back-off and retries of this package: exponential delays with a cap and jitter, and their values."""

import random
from dataclasses import dataclass

# More doublings only reach the cap; 2.0 ** a large number is an error.
_MOST_DOUBLINGS = 40

READ_TRIES = 4
"""Attempts at one read, as long as the API server asks for another with Retry-After. Writes are not repeated."""
EVENT_TRIES = 3
"""Attempts to write one event."""
_LONGEST_RETRY_AFTER_SECONDS = 10.0
"""A read that would have to wait longer fails instead."""


@dataclass(frozen=True)
class Backoff:
    """Delays that double with each failure."""

    first: float
    """Seconds after the first failure."""
    most: float
    """Seconds, however many failures there were."""

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row (at least one): 75 to 100 % of the nominal delay."""
        nominal = min(self.most, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
        return nominal * random.uniform(0.75, 1.0)  # noqa: S311 - no secret


QUEUE_BACKOFF = Backoff(first=0.2, most=300.0)
"""Of a key whose handling fails, unless its queue has another."""
WATCH_BACKOFF = Backoff(first=0.2, most=15.0)
"""Of a reflector whose list or watch fails."""
EVENT_BACKOFF = Backoff(first=1.0, most=5.0)
"""Of an event that could not be written."""


def retry_delay(retry_after: float | None) -> float | None:
    """Seconds to wait before a read is repeated, by its Retry-After in seconds. None: do not repeat it."""
    if retry_after is None or retry_after > _LONGEST_RETRY_AFTER_SECONDS:
        return None
    # Spread, so that not all clients come back at the same moment.
    return retry_after * random.uniform(1.0, 1.25)  # noqa: S311 - no secret
