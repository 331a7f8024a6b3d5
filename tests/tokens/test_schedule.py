"""When a token is refreshed: never in a hot loop, never after its end."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.tokens.planning.schedule import (
    FLOOR_SECONDS,
    LONGEST_SECONDS,
    is_bad_expiry,
    refresh_delay,
    retry_delay,
    seconds_left,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
lives = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)


@settings(deadline=None)
@given(lives, st.integers())
def test_refresh_is_never_before_the_floor_and_never_after_the_end(left: float, seed: int) -> None:
    delay = refresh_delay(left, Random(seed).uniform)  # noqa: S311 - no secret
    assert delay >= FLOOR_SECONDS
    assert is_bad_expiry(left) or delay <= left
    assert delay <= LONGEST_SECONDS * 1.1


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (43_200, 21_600),  # ECR
        (10_800, 5_400),  # ACR, three hours
        (3_600, 1_800),  # an hour: half
        (2_089, 1_044.5),  # ACR, 35 minutes
        (1_200, 300),  # half would leave less than the reserve
        (600, 150),  # not each minute, though little is left
        (120, 60),
        (61, 60),
        (30 * 86_400, 43_200),  # weeks
        (59, 60),  # bad: once a minute
        (-1e6, 60),
        (float("nan"), 60),
        (float("inf"), 60),
    ],
)
def test_refresh_without_jitter(left: float, expected: float) -> None:
    assert refresh_delay(left, lambda low, high: (low + high) / 2) == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(), st.floats(min_value=2_000, max_value=80_000))
def test_refreshes_of_one_life_are_spread(seed: int, left: float) -> None:
    random = Random(seed)  # noqa: S311 - no secret
    delays = [refresh_delay(left, random.uniform) for _ in range(20)]
    assert max(delays) - min(delays) > left / 1000


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=10_000), st.none() | st.floats(min_value=0, max_value=3600))
def test_retries_grow_and_honour_the_endpoints_wish(failures: int, asked: float | None) -> None:
    delay = retry_delay(failures, asked)
    assert delay >= (asked or 0)
    assert 0.75 * min(300.0, 2.0 ** min(failures - 1, 20)) <= delay <= max(300.0, asked or 0)


def test_end_is_counted_by_the_endpoints_clock() -> None:
    """The local clock is an hour slow: by it the token would live two hours."""
    endpoint_now = NOW + timedelta(hours=1)
    end = endpoint_now + timedelta(hours=1)
    assert seconds_left(end, endpoint_now, NOW) == 3600
    assert seconds_left(end, None, NOW) == 7200
