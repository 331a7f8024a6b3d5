"""When a token is refreshed. Pure: seconds in, seconds out."""

import math
from collections.abc import Callable
from datetime import datetime

from sutler.kube.backoff import Backoff

FLOOR_SECONDS = 60.0
"""Between two refreshes that succeed, for any end that an answer gives."""

RESERVE_SECONDS = 900.0
"""A Pod's pull may wait in the kubelet's queue: a token with less left is replaced, where that is possible."""

LONGEST_SECONDS = 43_200.0
"""A token that lives for weeks is refreshed twice a day all the same: its cloud may revoke it before its end."""

_JITTER = 0.1
_QUARTER = 0.25
_HALF = 0.5
_RETRY = Backoff(first=1.0, most=300.0)

Uniform = Callable[[float, float], float]


def seconds_left(end: datetime, answer_date: datetime | None, now: datetime) -> float:
    """Of a token that ends at `end`, by the clock of the endpoint that gave it, else by the local clock."""
    return (end - (answer_date or now)).total_seconds()


def is_bad_expiry(left: float) -> bool:
    """Whether an answer's end makes no sense: in the past, less than the floor ahead, or not a number."""
    return not math.isfinite(left) or left < FLOOR_SECONDS


def refresh_delay(left: float, uniform: Uniform) -> float:
    """Seconds until the next refresh of a token with `left` seconds.

    Half of what is left, so that several tries fit into the rest. Where half would leave less than the reserve, sooner,
    but not before a quarter: a token of few minutes is not fetched each minute. Never below the floor, never after the
    end. `uniform(a, b)` gives the jitter.
    """
    if is_bad_expiry(left):
        return FLOOR_SECONDS
    nominal = min(left * _HALF, max(left - RESERVE_SECONDS, left * _QUARTER), LONGEST_SECONDS)
    return min(left, max(FLOOR_SECONDS, nominal * uniform(1 - _JITTER, 1 + _JITTER)))


def retry_delay(failures: int, retry_after: float | None) -> float:
    """Seconds until the next try after so many failures in a row; at least the endpoint's Retry-After."""
    return max(_RETRY.delay(failures), retry_after or 0.0)
