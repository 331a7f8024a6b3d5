"""Exponential back-off with a cap and jitter."""

import random
from dataclasses import dataclass

# More doublings only reach the cap; 2.0 ** a large number is an error.
_MOST_DOUBLINGS = 40


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
