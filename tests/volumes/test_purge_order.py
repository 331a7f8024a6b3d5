"""Which image is removed from the trash next."""

import pytest

from provisioner.volumes.planning.purge_order import HUGE, WORKERS, PurgeJob, PurgeOrder
from sutler.volumes.locations import ImageLocation

SMALL = 4
PEBIBYTE = 1 << 28


def job(pool: str, number: int, objects: int = SMALL, cluster: str = "") -> PurgeJob:
    return PurgeJob(ImageLocation(cluster, pool, "", f"image-{number}"), str(number), objects)


def lanes(*jobs: PurgeJob) -> PurgeOrder:
    made = PurgeOrder()
    for one in jobs:
        made.add(one)
    return made


def takes(found: PurgeOrder) -> list[tuple[str, int]]:
    """All that begin now, as pool and objects."""
    taken = []
    while one := found.start_next():
        taken.append((one.location.pool, one.objects))
    return taken


def test_two_huge_images_leave_workers_for_another_pool() -> None:
    """All that was asked for of one pool can't end for days; that of another one begins at once."""
    found = lanes(job("a", 1, PEBIBYTE), job("a", 2, PEBIBYTE))
    assert takes(found) == [("a", PEBIBYTE)]
    found.add(job("b", 3, 25600))
    assert takes(found) == [("b", 25600)]


def test_huge_images_of_many_pools_leave_half_of_the_workers() -> None:
    found = lanes(*(job(f"pool-{number}", number, PEBIBYTE) for number in range(9)))
    assert len(takes(found)) == WORKERS // 2
    found.add(job("small", 10))
    assert takes(found) == [("small", SMALL)]


def test_hundred_small_images_pass_a_huge_one_of_their_own_pool() -> None:
    found = lanes(job("a", 0, PEBIBYTE), *(job("a", number) for number in range(1, 101)))
    assert takes(found) == [("a", PEBIBYTE), ("a", SMALL)]
    for _ in range(99):
        found.done(next(one for one in running(found) if not one.is_huge))
        assert takes(found) == [("a", SMALL)]


def running(found: PurgeOrder) -> list[PurgeJob]:
    return list(found._running)


def test_stream_of_small_images_does_not_keep_a_huge_one_waiting() -> None:
    found = lanes(*(job("a", number) for number in range(20)), job("b", 99, HUGE))
    assert ("b", HUGE) in takes(found)


def test_pools_take_turns() -> None:
    found = lanes(*(job("a", number) for number in range(10)), *(job("b", number) for number in range(10, 13)))
    order = []
    while one := found.start_next():
        order.append(one.location.pool)
        found.done(one)
    assert order[:6] == ["a", "b"] * 3
    assert order[6:] == ["a"] * 7


def test_smaller_ones_go_first_within_a_pool() -> None:
    found = lanes(*(job("a", size, size) for size in (900, 5, 70)))
    order = []
    while one := found.start_next():
        order.append(one.objects)
        found.done(one)
    assert order == [5, 70, 900]


@pytest.mark.parametrize(("clusters", "begin"), [(1, WORKERS - 1), (2, WORKERS)])
def test_one_cluster_that_hangs_never_has_all_workers(clusters: int, begin: int) -> None:
    found = lanes(*(job(f"pool-{number}", number, cluster=str(number % clusters)) for number in range(20)))
    assert len(takes(found)) == begin


def test_one_pool_that_hangs_never_has_all_workers() -> None:
    found = lanes(*(job("a", number) for number in range(20)))
    assert len(takes(found)) == WORKERS // 2
    found.add(job("b", 99))
    assert takes(found) == [("b", SMALL)]
