from typing import Any

import pytest

from provisioner.ceph.model import PoolSpace
from provisioner.volumes.planning.capacity import capacity_name, changes, describe_space, render_capacity

MIB = 1 << 20
GIB = 1 << 30


@pytest.mark.parametrize(
    ("space", "free"),
    [
        (PoolSpace(used=3, available=7, quota=None), 7),
        (PoolSpace(used=3, available=7, quota=5, stored=1), 4),
        (PoolSpace(used=3, available=7, quota=100, stored=1), 7),
        (PoolSpace(used=30, available=7, quota=5, stored=10), 0),
        (PoolSpace(used=3, available=7, quota=None, objects=9, quota_objects=10), 7),
        (PoolSpace(used=3, available=7, quota=None, objects=10, quota_objects=10), 0),
    ],
)
def test_free_is_what_disks_and_quotas_leave(space: PoolSpace, free: int) -> None:
    assert space.free == free


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (
            PoolSpace(used=9, available=8 * GIB, quota=10 * MIB, stored=10 * MIB + 512 * 1024, objects=7),
            "pool fast holds 10.5 MiB of its quota of 10 MiB in 7 objects; its disks can store another 8 GiB",
        ),
        (
            PoolSpace(used=9, available=0, quota=None, stored=12, objects=7, quota_objects=7),
            "pool fast holds 12 bytes in 7 of 7 objects; its disks can store another 0 bytes",
        ),
    ],
)
def test_fill_and_quotas_are_described(space: PoolSpace, says: str) -> None:
    assert describe_space("fast", space) == says


def capacities(**free: int) -> dict[str, Any]:
    bodies = [render_capacity(name, count) for name, count in free.items()]
    return {body["metadata"]["name"]: body for body in bodies}


def test_capacity_is_for_all_nodes_and_exact_to_a_mebibyte() -> None:
    (body,) = capacities(fast=5 * GIB + 17).values()
    assert (body["storageClassName"], body["nodeTopology"], body["capacity"]) == ("fast", {}, "5Gi")


@pytest.mark.parametrize(
    ("before", "now", "published"),
    [(5 * GIB, 5 * GIB, False), (1000 * MIB, 995 * MIB, False), (1000 * MIB, 980 * MIB, True), (0, MIB, True)],
)
def test_only_notable_changes_are_written(before: int, now: int, published: bool) -> None:
    written, gone = changes(capacities(fast=before), capacities(fast=now), set())
    assert (bool(written), gone) == (published, [])


def test_capacities_of_new_classes_are_written_and_of_deleted_ones_removed_but_not_of_unreadable_pools() -> None:
    there = capacities(old=MIB, silent=MIB)
    written, gone = changes(there, capacities(new=MIB), {capacity_name("silent")})
    assert [body["storageClassName"] for body in written] == ["new"]
    assert gone == [capacity_name("old")]
