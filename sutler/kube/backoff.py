"""How long to wait after failures: doubling, capped, and never for all of us the same."""

import random
from dataclasses import dataclass

# Beyond this the cap has long been reached; 2.0 ** a large number is an error.
_MOST_DOUBLINGS = 40


@dataclass(frozen=True)
class Backoff:
    """Seconds after the first failure, and at most."""

    first: float
    most: float

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row (one or more): 3/4 of the nominal delay to all of it."""
        nominal = min(self.most, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
        return nominal * random.uniform(0.75, 1.0)  # noqa: S311 - no secret
