"""Many claims at once, and one among them that nothing can be done about."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from sutler.kube.client import connect
from sutler.kube.resources import PERSISTENT_VOLUMES
from tests.cluster import SutlerProcess, wait_for
from tests.volumes import bulk
from tests.volumes.volume_env import VolumeEnv, claim

CLAIMS = 1000
"""Kubernetes' own binder takes four to six a second."""
MOST_CALLS = 5
"""To the API server for a claim, what a start costs included."""
OF_EVERY_POOL = {"rbd_directory", "rbd_info", "rbd_trash", "csi.volumes.default"}


@pytest.fixture(scope="module")
def volumes(start_volumes: Callable[..., SutlerProcess]) -> Iterator[SutlerProcess]:
    """It asks the API server for nothing but what claims need."""
    started = start_volumes("--reconcile-interval=10000", "--capacity-interval=10000")
    started.start()
    yield started
    started.stop()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_as_many_claims_at_once_are_bound_and_leave_nothing_in_ceph(env: VolumeEnv) -> None:
    cls = env.storage_class({"journal": "ceph-csi", "clusterID": "b", "imageFeatures": "layering"})
    kubeconfig = env.control_plane.kubeconfig
    asyncio.run(bulk.claims(kubeconfig, env.namespace, cls, CLAIMS, size="1Mi"))
    wait_for(lambda: asyncio.run(bulk.bound(kubeconfig, env.namespace, cls)) == CLAIMS, "all to be Bound", 2 * CLAIMS)
    assert len(env.images()) == CLAIMS
    # Events are sent when there is time. The lease is renewed, by PUT, all the while.
    asked = {key: value for key, value in env.process.metrics().items() if "rest_client_requests_total" in key}
    assert sum(value for key, value in asked.items() if "PUT" not in key) / CLAIMS <= MOST_CALLS, asked
    env.delete_claims()
    env.wait_gone(2 * CLAIMS)
    assert env.ceph.rbd("trash", "ls", env.pool) == ""
    listed = subprocess.run(
        ["rados", "-c", str(env.ceph.conf), "-p", env.pool, "ls"], capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) <= OF_EVERY_POOL
    omap = ["rados", "-c", str(env.ceph.conf), "-p", env.pool, "listomapvals"]
    for name in ("rbd_directory", "csi.volumes.default", "rbd_trash"):
        assert subprocess.run([*omap, name], capture_output=True, text=True, check=True).stdout == "", name


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [10, pytest.param(CLAIMS, marks=pytest.mark.long)])
def test_poisoned_objects_do_not_delay_others(env: VolumeEnv, count: int) -> None:
    """With our annotations, of our class, and not to be made sense of."""
    cls = env.storage_class()
    kubeconfig = str(env.control_plane.kubeconfig)
    poisoned = [
        bulk.volume(env.namespace, "no-image", "a", cls, "no path at all"),
        bulk.volume(env.namespace, "bad-name", "c", cls, f"{env.pool}/{'x' * 4000}"),
    ]
    poisoned[1]["metadata"]["annotations"]["sutler.dev/trash-delay"] = "٣"

    async def make() -> None:
        async with connect(kubeconfig, component="tests") as client:
            for body in poisoned:
                await client.create(PERSISTENT_VOLUMES, body)

    asyncio.run(make())
    env.apply(claim("huge", cls, "9223372036854775807"), claim("picky", cls, selector={"matchLabels": {"a": "b"}}))
    asyncio.run(bulk.claims(env.control_plane.kubeconfig, env.namespace, cls, count, size="1Mi"))
    wait_for(lambda: len(env.images()) == count, f"{count} images", 2 * count)
    wait_for(lambda: len(env.volumes()) == count + len(poisoned), "as many volumes", 2 * count)
    env.wait_event("pvc-a", "VolumeFailedDelete", "restore it", namespace="default")
    env.delete_claims()
    wait_for(lambda: not env.images(), "the images to be gone", 2 * count)
    for body in poisoned:
        name = body["metadata"]["name"]
        gone = json.dumps([{"op": "remove", "path": "/metadata/finalizers"}])
        env.control_plane.kubectl("patch", "pv", name, "--type=json", "-p", gone)
        env.control_plane.kubectl("delete", "pv", name, "--ignore-not-found", "--wait=false")
