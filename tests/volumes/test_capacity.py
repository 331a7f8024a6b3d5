"""The capacity of the pools, as the scheduler, the metrics and the events on claims show it."""

import errno
import json
from typing import Any

import rados

from tests.cluster import wait_for
from tests.volumes.volume_env import VolumeEnv, claim


def capacities(env: VolumeEnv, cls: str) -> list[Any]:
    found = env.control_plane.kubectl_json("get", "csistoragecapacities", "-n", "sutler-system")["items"]
    return [one for one in found if one["storageClassName"] == cls]


def metric(env: VolumeEnv, name: str) -> float | None:
    return env.process.metrics().get(f'sutler_pool_{name}_bytes{{cluster="",pool="{env.pool}"}}')


def test_capacity_within_the_quota_is_published_to_the_scheduler_and_as_metrics(env: VolumeEnv) -> None:
    env.ceph.wait_for_manager()
    cls = env.storage_class()
    (free,) = wait_for(lambda: capacities(env, cls), "the class's capacity")
    assert free["nodeTopology"] == {}
    assert free["capacity"].endswith("Mi")
    assert metric(env, "quota") is None
    env.ceph.ceph("osd", "pool", "set-quota", env.pool, "max_bytes", str(3 << 30))
    # Less the few bytes with which a pool is made ready for images, once they have been counted.
    wait_for(lambda: capacities(env, cls)[0]["capacity"] in {"3Gi", "3071Mi"}, "what the quota leaves to be published")
    assert metric(env, "quota") == 3 << 30
    assert 3071 << 20 <= (metric(env, "available") or 0) <= 3 << 30
    env.control_plane.kubectl("delete", "storageclass", cls)
    env.classes.remove(cls)
    wait_for(lambda: not capacities(env, cls), "the capacity to go with its class")
    assert [metric(env, name) for name in ("available", "used", "quota")] == [None] * 3


def test_full_pool_is_reported_at_once_with_its_fill_and_its_quota_and_recovers(env: VolumeEnv, direct: Any) -> None:
    env.ceph.wait_for_manager()
    cls = env.storage_class()
    env.apply(claim("first", cls))
    env.wait_bound()
    env.ceph.ceph("osd", "pool", "set-quota", env.pool, "max_objects", "1")
    wait_for(lambda: _is_full(env, direct), "the pool to be full")
    env.apply(*(claim(f"data-{n}", cls) for n in range(3)))
    event = env.wait_event("data-0", "ProvisioningFailed", "EDQUOT")
    assert f"; pool {env.pool} holds " in event["message"]
    assert " of 1 objects" in event["message"]
    # While another claim is refused, its name is in the pool's directory for a moment.
    wait_for(lambda: len(env.images()) == 1, "the first image to be the only one")
    # Deleting must work when nothing else does.
    env.delete_claims("first")
    wait_for(lambda: not env.images(), "the first image to go")
    wait_for(lambda: capacities(env, cls)[0]["capacity"] == "0", "the capacity to be nothing")
    env.ceph.ceph("osd", "pool", "set-quota", env.pool, "max_objects", "0")
    env.wait_bound(3)


def _is_full(env: VolumeEnv, direct: Any) -> bool:
    """The monitor says so before the OSD refuses writes. Like Sutler, this has librados hold none of them back."""
    pools = json.loads(env.ceph.ceph("osd", "pool", "ls", "detail", "-f", "json"))
    if not any(pool["pool_name"] == env.pool and "full" in pool["flags_names"] for pool in pools):
        return False
    with direct.open_ioctx(env.pool) as ioctx:
        ioctx.set_osdmap_full_try()
        # Some of these belong to each placement group, and each of these learns of it by itself.
        return all(_is_refused(ioctx, f"probe-{number}") for number in range(64))


def _is_refused(ioctx: Any, name: str) -> bool:
    try:
        ioctx.write_full(name, b"")
    except rados.Error as error:
        if error.errno != errno.EDQUOT:
            raise
        return True
    ioctx.remove_object(name)
    return False
