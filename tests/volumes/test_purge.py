"""What is removed from the trash in the background."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from provisioner.ceph.errors import PoolMissing
from provisioner.volumes import trash_purger, work_progress
from provisioner.volumes.trash_purger import TrashPurger
from sutler.errors import SutlerError
from sutler.metrics import REGISTRY
from sutler.volumes.locations import ImageLocation
from tests.cluster.wait import wait_for_async

PLACE = ImageLocation("", "rbd", "", "large")


class Clusters:
    """A pool whose removals take until the test ends them."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.end = asyncio.Event()
        self.removed: list[str] = []
        self.there = True

    def get(self, _cluster: str) -> Any:
        return self

    def pool(self, _name: str, _namespace: str) -> Any:
        return self

    async def count_objects(self, _identifier: str) -> int:
        return 1

    async def exists(self) -> bool:
        return self.there

    async def purge(self, identifier: str, **_rest: Any) -> None:
        self.removed.append(identifier)
        self.begun.set()
        await self.end.wait()


async def test_image_found_again_while_it_is_being_removed_is_removed_once() -> None:
    clusters: Any = Clusters()
    purger = TrashPurger(clusters, fence=lambda: None)
    running = asyncio.create_task(purger.run())
    before = retries()
    purger.add(PLACE, "one")
    await clusters.begun.wait()
    # Removing a large image takes longer than the time between two comparisons: it is in the trash still.
    purger.add(PLACE, "one")
    clusters.end.set()
    for _ in range(50):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert clusters.removed == ["one"]
    assert retries() == before


async def test_image_that_is_back_in_the_trash_is_removed_again() -> None:
    clusters: Any = Clusters()
    clusters.end.set()
    purger = TrashPurger(clusters, fence=lambda: None)
    running = asyncio.create_task(purger.run())
    for _ in range(2):
        purger.add(PLACE, "one")
        for _ in range(50):
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert clusters.removed == ["one", "one"]


async def test_pool_that_is_gone_has_nothing_to_remove() -> None:
    clusters: Any = Clusters()
    clusters.purge = gone
    purger = TrashPurger(clusters, fence=lambda: None)
    running = asyncio.create_task(purger.run())
    before = retries()
    purger.add(PLACE, "one")
    for _ in range(50):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert retries() == before


async def gone(_identifier: str, **_fence: Any) -> None:
    raise PoolMissing("pool rbd does not exist in this Ceph cluster")


class Endless(Clusters):
    """Removals that end only when their progress says so, as librbd's do, in a thread."""

    async def purge(self, identifier: str, **rest: Any) -> None:
        self.removed.append(identifier)
        self.begun.set()
        await asyncio.to_thread(self._go_on, rest["progress"])

    def _go_on(self, progress: Any) -> None:
        try:
            while not self.end.is_set():
                progress(0.25)
        finally:
            self.ended.set()

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()


async def test_removal_in_a_pool_that_is_gone_is_stopped_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trash_purger, "_PROGRESS_SECONDS", 0.01)
    clusters: Any = Endless()
    purger = TrashPurger(clusters, fence=lambda: None)
    running = asyncio.create_task(purger.run())
    before = retries()
    purger.add(PLACE, "one")
    await clusters.begun.wait()
    clusters.there = False
    assert await asyncio.to_thread(clusters.ended.wait, 10)
    for _ in range(50):
        await asyncio.sleep(0)
    await cancelled(running)
    assert (clusters.removed, retries()) == (["one"], before)


@pytest.mark.parametrize("lost", [True, False], ids=["lease lost", "process ends"])
async def test_removal_stops_with_the_lease_and_with_the_process(lost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_progress, "_FENCE_SECONDS", 0.01)
    gone: list[bool] = []

    def fence() -> None:
        if gone:
            raise SutlerError("the lease is lost")

    clusters: Any = Endless()
    purger = TrashPurger(clusters, fence=fence)
    running = asyncio.create_task(purger.run())
    purger.add(PLACE, "one")
    await clusters.begun.wait()
    if lost:
        gone.append(True)
    else:
        await cancelled(running)
    assert await asyncio.to_thread(clusters.ended.wait, 10)
    await cancelled(running)


async def test_progress_and_time_left_are_in_the_metrics_during_a_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trash_purger, "_PROGRESS_SECONDS", 0.01)
    clusters: Any = Endless()
    purger = TrashPurger(clusters, fence=lambda: None)
    running = asyncio.create_task(purger.run())
    purger.add(PLACE, "one")
    await clusters.begun.wait()

    async def published() -> bool:
        return said("sutler_purge_progress_ratio") == 0.25 and bool(said("sutler_purge_left_seconds"))

    await wait_for_async(published, "the metrics to show it")
    assert said("sutler_purges") == 1
    await cancelled(running)
    assert said("sutler_purges") is None


async def test_same_path_in_two_clusters_is_removed_in_both() -> None:
    clusters: Any = Clusters()
    clusters.end.set()
    purger = TrashPurger(clusters, fence=lambda: None)
    running = asyncio.create_task(purger.run())
    purger.add(PLACE, "one")
    purger.add(replace(PLACE, cluster="other"), "one")

    async def both() -> bool:
        return len(clusters.removed) == 2

    await wait_for_async(both, "both to be removed")
    await cancelled(running)
    assert clusters.removed == ["one", "one"]


async def cancelled(running: "asyncio.Task[None]") -> None:
    running.cancel()
    await asyncio.wait([running])


def said(metric: str) -> float | None:
    return REGISTRY.get_sample_value(metric, {"cluster": PLACE.cluster, "pool": PLACE.pool})


def retries() -> float:
    return REGISTRY.get_sample_value("workqueue_retries_total", {"name": "purge"}) or 0.0
