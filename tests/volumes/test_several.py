"""Several provisioners, of which one acts."""

from collections.abc import Callable, Iterator

import pytest

from tests.cluster import SutlerProcess, wait_for
from tests.volumes.world import World, claim

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


def told(process: SutlerProcess) -> dict[str, float]:
    """What only whoever leads can know."""
    current = ("sutler_pool_", "sutler_volumes_in_progress")
    return {name: value for name, value in process.metrics().items() if name.startswith(current) and value}


def test_frozen_leader_is_replaced_in_time_and_never_acts_again_by_mistake(world: World, second: SutlerProcess) -> None:
    first = world.process
    wait_for(lambda: leads(first) or leads(second), "one of them to lead")
    leader, other = (first, second) if leads(first) else (second, first)
    assert not leads(other)
    cls = world.storage_class()
    world.apply(*(claim(f"early-{n}", cls) for n in range(5)))
    world.apply(claim("stuck", world.storage_class({"pool": "nowhere"})))
    room, stuck = f'sutler_pool_used_bytes{{cluster="",pool="{world.pool}"}}', "sutler_volumes_in_progress"
    wait_for(lambda: room in told(leader) and told(leader).get(stuck), "the pool to be measured, and a claim to fail")
    leader.freeze()
    try:
        world.delete_claims("stuck")
        world.apply(*(claim(f"late-{n}", cls) for n in range(5)))
        wait_for(lambda: leads(other), "the other one to lead")
        world.wait_bound(10)
        world.delete_claims("early-0")
    finally:
        leader.resume()
    wait_for(lambda: not leads(leader), "the thawed one to see that it leads no more")
    wait_for(lambda: not told(leader), "it to say no more what it does not know")
    world.apply(claim("after", cls))
    world.wait_bound(10)
    wait_for(lambda: len(world.images()) == 10, "one image per claim")
    assert made(other) >= 6
    world.delete_claims()
    world.wait_gone()


def test_leader_that_is_stopped_hands_over_at_once(world: World, start_volumes: Start) -> None:
    first, patient = world.process, start_volumes("--lease-duration=300", "--renew-deadline=200")
    patient.start()
    try:
        assert first.process.stop() == 0
        wait_for(lambda: leads(patient), "the other one to lead")
        first.restart()
        assert patient.process.stop() == 0
        wait_for(lambda: leads(first), "the first one to lead long before the other's lease has run out")
    finally:
        patient.stop()
