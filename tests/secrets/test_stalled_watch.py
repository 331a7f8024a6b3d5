"""Watches that drop in silence: connections that stay open while nothing arrives, for as long as it may last.

What an hour is in a cluster are seconds here: a watch counts as silent after one instead of eighty.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from provisioner.secrets.controller import SecretsController
from sutler.kube.client import connect
from sutler.kube.events import EventRecorder
from tests.cluster import ControlPlane, wait_for
from tests.kube.proxy import FaultyProxy
from tests.secrets.conftest import Cluster
from tests.secrets.objects import OWN, auth, config

FIRST, SECOND = config(quay__io=auth("u", "first")), config(quay__io=auth("u", "second"))
NEW = {"quay.io": {"auth": auth("u", "second")}}
TRIES = 8
"""Each of the four watches is given up and tried again twice meanwhile."""


@pytest.fixture
def proxy(account: Path, tmp_path: Path) -> Iterator[FaultyProxy]:
    with FaultyProxy(account, tmp_path) as proxy:
        yield proxy


@pytest.fixture
async def controller(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SecretsController]:
    """All that it reads and writes goes through the proxy."""
    monkeypatch.setattr("sutler.kube.client._TIMEOUT_SECONDS", 2.0)
    async with connect(str(proxy.kubeconfig), component="silent") as client:
        controller = SecretsController(
            client, client, EventRecorder(client, "test"), namespace=OWN, workers=4, silence=1.0
        )
        running: list[asyncio.Task[None]] = [asyncio.ensure_future(one.run()) for one in controller.reflectors.values()]
        running.append(asyncio.ensure_future(controller.lead()))
        yield controller
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def test_everything_that_happened_in_silence_is_made_good(
    control_plane: ControlPlane, controller: SecretsController, proxy: FaultyProxy
) -> None:
    cluster = Cluster(control_plane)
    try:
        await asyncio.to_thread(_silence, cluster, proxy)
    finally:
        await asyncio.to_thread(cluster.clean)
    assert controller.ready() is None


def _silence(cluster: Cluster, proxy: FaultyProxy) -> None:
    namespace, leaving = cluster.namespace("one"), cluster.namespace("leaving")
    rotated = cluster.mapping("rotated", copy_from=cluster.source("a", FIRST))
    deleted = cluster.mapping("deleted", copy_from=cluster.source("b", FIRST))
    removed = cluster.mapping("removed", copy_from=cluster.source("c", FIRST))
    for mapping in (rotated, deleted, removed):
        cluster.wait_for_reason(mapping, "Synced")
    with proxy.silent():
        cluster.source("a", SECOND)
        cluster.kubectl("delete", "secret", deleted, "-n", namespace)
        cluster.unmap(removed)
        cluster.kubectl("label", "namespace", leaving, "test-")
        late = cluster.namespace("late")
        tried = proxy.count(watch=True)
        wait_for(lambda: proxy.count(watch=True) >= tried + TRIES, "new tries", 120)
        assert cluster.auths(namespace, rotated) != NEW, "it could not know"
    for place in (namespace, late):
        cluster.rotated(place, rotated, NEW)
        cluster.copied(place, deleted)
        cluster.gone(place, removed)
    for mapping in (rotated, deleted, removed):
        cluster.gone(leaving, mapping)
