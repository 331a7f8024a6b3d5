"""Several provisioners, of which one acts."""

from collections.abc import Callable, Iterator

import pytest

from tests.cluster import SutlerProcess, wait_for
from tests.volumes.volume_env import VolumeEnv, claim

Start = Callable[..., SutlerProcess]


@pytest.fixture
def second(start_volumes: Start) -> Iterator[SutlerProcess]:
    started = start_volumes()
    started.start()
    yield started
    started.stop()


def leads(process: SutlerProcess) -> bool:
    return process.metrics().get('leader_election_master_status{name="sutler-volumes"}') == 1


def made(process: SutlerProcess) -> float:
    counts = process.metrics().items()
    return sum(v for name, v in counts if name.startswith("controller_persistentvolumeclaim_provision_total"))


def leader_metrics(process: SutlerProcess) -> dict[str, float]:
    """The metrics that only the leader has."""
    current = ("sutler_pool_", "sutler_volumes_in_progress")
    return {name: value for name, value in process.metrics().items() if name.startswith(current) and value}


@pytest.mark.long
def test_frozen_leader_is_replaced_in_time_and_never_acts_again_by_mistake(
    env: VolumeEnv, second: SutlerProcess
) -> None:
    first = env.process
    wait_for(lambda: leads(first) or leads(second), "one of them to lead")
    leader, other = (first, second) if leads(first) else (second, first)
    assert not leads(other)
    cls = env.storage_class()
    env.apply(*(claim(f"early-{n}", cls) for n in range(5)))
    env.apply(claim("stuck", env.storage_class({"pool": "nowhere"})))
    used, stuck = f'sutler_pool_used_bytes{{cluster="",pool="{env.pool}"}}', "sutler_volumes_in_progress"
    wait_for(
        lambda: used in leader_metrics(leader) and leader_metrics(leader).get(stuck),
        "the pool to be measured, and a claim to fail",
    )
    leader.freeze()
    try:
        env.delete_claims("stuck")
        env.apply(*(claim(f"late-{n}", cls) for n in range(5)))
        wait_for(lambda: leads(other), "the other one to lead")
        env.wait_bound(10)
        env.delete_claims("early-0")
    finally:
        leader.resume()
    wait_for(lambda: not leads(leader), "the thawed one to see that it leads no more")
    wait_for(lambda: not leader_metrics(leader), "it to say no more what it does not know")
    env.apply(claim("after", cls))
    env.wait_bound(10)
    wait_for(lambda: len(env.images()) == 10, "one image per claim")
    assert made(other) >= 6
    env.delete_claims()
    env.wait_gone()


def test_leader_that_is_stopped_hands_over_at_once(env: VolumeEnv, start_volumes: Start) -> None:
    first, patient = env.process, start_volumes("--lease-duration=300", "--renew-deadline=200")
    patient.start()
    try:
        assert first.process.stop() == 0
        wait_for(lambda: leads(patient), "the other one to lead")
        first.restart()
        assert patient.process.stop() == 0
        wait_for(lambda: leads(first), "the first one to lead long before the other's lease has run out")
    finally:
        patient.stop()
