"""How often the same content is written to the same copy."""

import pytest

from provisioner.secrets.write_throttle import MOST_WRITES, WINDOW_SECONDS, WriteThrottle

ONE, OTHER = b"one", b"other"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_few_repairs_go_at_once_and_the_next_waits(clock: Clock) -> None:
    restraint = WriteThrottle(clock)
    for _ in range(MOST_WRITES):
        assert restraint.wait("ns/copy", ONE) is None
        restraint.record("ns/copy", ONE)
        clock.now += 1
    assert restraint.wait("ns/copy", ONE) == WINDOW_SECONDS - MOST_WRITES
    clock.now += WINDOW_SECONDS - MOST_WRITES
    assert restraint.wait("ns/copy", ONE) is None


def test_new_content_and_other_copies_do_not_wait(clock: Clock) -> None:
    restraint = WriteThrottle(clock)
    for _ in range(MOST_WRITES):
        restraint.record("ns/copy", ONE)
    assert restraint.wait("ns/copy", OTHER) is None
    assert restraint.wait("ns/else", ONE) is None


def test_fight_of_hours_is_a_few_writes_a_minute(clock: Clock) -> None:
    restraint = WriteThrottle(clock)
    writes = 0
    for _ in range(3600):
        if restraint.wait("ns/copy", ONE) is None:
            restraint.record("ns/copy", ONE)
            writes += 1
        clock.now += 1
    assert writes == MOST_WRITES * 3600 / WINDOW_SECONDS


def test_what_is_long_ago_is_forgotten(clock: Clock) -> None:
    restraint = WriteThrottle(clock)
    restraint.record("ns/old", ONE)
    clock.now += WINDOW_SECONDS
    restraint.record("ns/new", ONE)
    restraint.drop_old()
    assert restraint._writes.keys() == {"ns/new"}
