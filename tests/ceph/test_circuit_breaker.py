import pytest

from provisioner.ceph.circuit_breaker import CircuitBreaker
from provisioner.ceph.errors import CephUnavailable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def down(health: CircuitBreaker) -> CephUnavailable:
    with pytest.raises(CephUnavailable) as caught:
        health.check()
    return caught.value


def test_one_probe_at_a_time_is_let_through() -> None:
    clock = Clock()
    health = CircuitBreaker("pool rbd", probe_seconds=15, first_pause=1, longest_pause=4, clock=clock)
    health.try_call()
    health.record_failure("no answer in time")
    assert "pool rbd does not answer: no answer in time" in str(down(health))
    clock.now = 1.5
    health.try_call()
    assert 4 < down(health).retry_after < 4.2
    clock.now = 20
    health.try_call()
    health.record_success()
    health.check()
    health.try_call()
    health.try_call()


def test_pause_grows_and_is_reset_after_a_success() -> None:
    clock = Clock()
    health = CircuitBreaker("pool rbd", probe_seconds=15, first_pause=1, longest_pause=4, clock=clock)
    waits = []
    for _ in range(4):
        health.record_failure("x")
        waits.append(round(down(health).retry_after))
    assert waits == [1, 2, 4, 4]
    health.record_success()
    health.record_failure("x")
    assert round(down(health).retry_after) == 1
