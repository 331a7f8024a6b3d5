"""A claim, its snapshot, a claim restored from it and a clone of that, deleted in every order: nothing is left."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from tests.cluster import wait_for
from tests.volumes.snapshot_env import SnapshotEnv
from tests.volumes.test_restore import of_claim, of_snapshot
from tests.volumes.volume_env import VolumeEnv, claim

pytestmark = [pytest.mark.usefixtures("snapshot_controller"), pytest.mark.timeout(900)]

OBJECTS = ("data", "monday", "restored", "again")
ORDERS = list(permutations(OBJECTS))
QUICK = ORDERS[::12]


@pytest.fixture
def snapshots(env: VolumeEnv, direct: Any) -> Iterator[SnapshotEnv]:
    made = SnapshotEnv(env, direct)
    yield made
    made.clean_up()


def kind(name: str) -> str:
    return "volumesnapshot" if name == "monday" else "pvc"


def exists(env: VolumeEnv, names: list[str]) -> set[str]:
    found = {one["metadata"]["name"] for what in ("pvc", "volumesnapshot") for one in env.get(what)["items"]}
    return found & set(names)


def create(snapshots: SnapshotEnv, cls: str, count: int) -> None:
    """So many sets of objects, each with data of its own."""
    env, by_snapshot = snapshots.env, snapshots.snapshot_class()
    env.apply(*(claim(f"data-{n}", cls, "8Mi") for n in range(count)))
    env.wait_bound(count)
    for n in range(count):
        snapshots.write(f"data-{n}", f"of {n}")
        snapshots.snapshot(f"monday-{n}", f"data-{n}", by_snapshot)
    env.apply(*(claim(f"restored-{n}", cls, "8Mi", **of_snapshot(f"monday-{n}")) for n in range(count)))
    env.apply(*(claim(f"again-{n}", cls, "12Mi", **of_claim(f"restored-{n}")) for n in range(count)))
    wait_for(lambda: env.all_bound(3 * count), "all claims to be Bound", 300)


def delete_in_order(snapshots: SnapshotEnv, orders: list[tuple[str, ...]], *, killed: bool) -> None:
    env = snapshots.env
    for step in range(len(OBJECTS)):
        names = [f"{order[step]}-{n}" for n, order in enumerate(orders)]
        if killed:
            env.process.kill9()
        for name in names:
            snapshots.delete(kind(name.partition("-")[0]), name)
        if killed:
            env.process.start()
        wait_for(lambda names=names: not exists(env, names), f"{', '.join(names)} to be gone", 120)  # type: ignore[misc] # mypy can't type a lambda with a default
        for n, order in enumerate(orders):
            for name in set(order[step + 1 :]) - {"monday"}:
                assert snapshots.read(f"{name}-{n}") == f"of {n}", (order, step, name)
    snapshots.wait_nothing_left(120)


@pytest.mark.parametrize("killed", [False, True], ids=["running", "killed before each step"])
@pytest.mark.parametrize(
    "orders", [pytest.param(QUICK, id="some orders"), pytest.param(ORDERS, id="all orders", marks=pytest.mark.long)]
)
def test_nothing_is_lost_before_its_turn_and_nothing_is_left(
    snapshots: SnapshotEnv, orders: list[tuple[str, ...]], killed: bool
) -> None:
    create(snapshots, snapshots.env.storage_class(), len(orders))
    delete_in_order(snapshots, orders, killed=killed)


def test_class_is_not_needed_for_any_deletion(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    cls = env.storage_class()
    create(snapshots, cls, 2)
    env.control_plane.kubectl("delete", "storageclass", cls)
    delete_in_order(snapshots, [("data", "monday", "restored", "again"), ("again", "data", "restored", "monday")],
                    killed=False)  # fmt: skip
    env.classes.remove(cls)


def test_pool_that_is_deleted_first_holds_nothing_up(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    create(snapshots, env.storage_class(), 1)
    env.ceph.remove_pool(env.pool)
    for name in OBJECTS:
        snapshots.delete(kind(name), f"{name}-0")
    wait_for(lambda: not env.claims() and not env.volumes(), "claims and volumes to be gone", 120)
    wait_for(lambda: not snapshots.contents(), "the contents to be gone", 120)
