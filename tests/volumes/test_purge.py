"""What is removed from the trash in the background."""

import asyncio
from typing import Any

from provisioner.ceph.errors import PoolMissing
from provisioner.volumes.purge import Purger
from provisioner.volumes.volume import Place
from sutler.metrics import REGISTRY

PLACE = Place("", "rbd", "", "large")


class Clusters:
    """A pool whose removals take until they are told to end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.end = asyncio.Event()
        self.removed: list[str] = []

    def get(self, _cluster: str) -> Any:
        return self

    def pool(self, _name: str, _namespace: str) -> Any:
        return self

    async def trash_remove(self, identifier: str, **_fence: Any) -> None:
        self.removed.append(identifier)
        self.begun.set()
        await self.end.wait()


async def test_image_found_again_while_it_is_being_removed_is_removed_once() -> None:
    clusters: Any = Clusters()
    purger = Purger(clusters, fence=lambda: None)
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
    purger = Purger(clusters, fence=lambda: None)
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
    clusters.trash_remove = gone
    purger = Purger(clusters, fence=lambda: None)
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


def retries() -> float:
    return REGISTRY.get_sample_value("workqueue_retries_total", {"name": "purge"}) or 0.0
