"""How long the trash can keep an image: its times have 32 bits."""

import pytest

from provisioner.ceph.purging import kept_until

NOW = 1_800_000_000.5
YEAR = 365 * 86400


@pytest.mark.parametrize("delay", [0, 86400, 30 * YEAR])
def test_delay_is_what_was_asked_for(delay: int) -> None:
    assert kept_until(delay, NOW) == delay


@pytest.mark.parametrize("delay", [100 * YEAR, 999_999_999 * 86400, 2**32 - 1, 2**70])
def test_delay_that_the_trash_can_not_hold_ends_as_late_as_it_can(delay: int) -> None:
    end = NOW + kept_until(delay, NOW)
    assert 2**32 - 3 * 86400 < end < 2**32


def test_delay_is_never_negative() -> None:
    assert kept_until(5, 2.0**32) == 0
