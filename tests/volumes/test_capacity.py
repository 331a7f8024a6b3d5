"""The room in the pools, as the scheduler, the monitoring and the owner of a claim that finds none hear of it."""

import json
from typing import Any

from tests.cluster import wait_for
from tests.volumes.world import World, claim


def capacities(world: World, cls: str) -> list[Any]:
    found = world.control_plane.kubectl_json("get", "csistoragecapacities", "-n", "sutler-system")["items"]
    return [one for one in found if one["storageClassName"] == cls]


def metric(world: World, name: str) -> float | None:
    return world.process.metrics().get(f'sutler_pool_{name}_bytes{{cluster="",pool="{world.pool}"}}')


def test_room_is_told_to_the_scheduler_and_the_monitoring_as_the_quota_leaves_it(world: World) -> None:
    world.ceph.wait_for_manager()
    cls = world.storage_class()
    (free,) = wait_for(lambda: capacities(world, cls), "the class's capacity")
    assert free["nodeTopology"] == {}
    assert free["capacity"].endswith("Mi")
    assert metric(world, "quota") is None
    world.ceph.ceph("osd", "pool", "set-quota", world.pool, "max_bytes", str(3 << 30))
    # Less the few bytes with which a pool is made ready for images, once they have been counted.
    wait_for(lambda: capacities(world, cls)[0]["capacity"] in {"3Gi", "3071Mi"}, "what the quota leaves to be told")
    assert metric(world, "quota") == 3 << 30
    assert 3071 << 20 <= (metric(world, "available") or 0) <= 3 << 30
    world.control_plane.kubectl("delete", "storageclass", cls)
    world.classes.remove(cls)
    wait_for(lambda: not capacities(world, cls), "the capacity to go with its class")
    assert [metric(world, name) for name in ("available", "used", "quota")] == [None] * 3


def test_full_pool_is_said_at_once_with_its_fill_and_its_quota_and_heals(world: World) -> None:
    world.ceph.wait_for_manager()
    cls = world.storage_class()
    world.apply(claim("first", cls))
    world.wait_bound()
    world.ceph.ceph("osd", "pool", "set-quota", world.pool, "max_objects", "1")
    wait_for(lambda: _is_full(world), "the pool to be full")
    world.apply(*(claim(f"data-{n}", cls) for n in range(3)))
    event = world.wait_event("data-0", "ProvisioningFailed", "EDQUOT")
    assert f"; pool {world.pool} holds " in event["message"]
    assert " of 1 objects" in event["message"]
    assert len(world.images()) == 1
    # Deleting must work when nothing else does.
    world.delete_claims("first")
    wait_for(lambda: not world.images(), "the first image to go")
    wait_for(lambda: capacities(world, cls)[0]["capacity"] == "0", "the capacity to be nothing")
    world.ceph.ceph("osd", "pool", "set-quota", world.pool, "max_objects", "0")
    world.wait_bound(3)


def _is_full(world: World) -> bool:
    pools = json.loads(world.ceph.ceph("osd", "pool", "ls", "detail", "-f", "json"))
    return any(pool["pool_name"] == world.pool and "full" in pool["flags_names"] for pool in pools)
