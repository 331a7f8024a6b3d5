"""Removing large images from the trash: minutes or hours of work that nobody waits for."""

import contextlib
from collections.abc import Callable

from provisioner.ceph.clusters import Clusters
from provisioner.ceph.errors import PoolMissing
from provisioner.volumes.volume import Place
from sutler.kube.queue import WorkQueue

WORKERS = 2


class Purger:
    """What is lost here when the process ends is found in the trash by the next comparison."""

    def __init__(self, clusters: Clusters, fence: Callable[[], None]) -> None:
        self._clusters = clusters
        self._fence = fence
        self._places: dict[str, Place] = {}
        self._queue = WorkQueue("purge", workers=WORKERS)

    def add(self, place: Place, identifier: str) -> None:
        key = f"{place.path} {identifier}"
        if key in self._places:
            return  # a comparison has found what is being removed all the while
        self._places[key] = place
        self._queue.add(key)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._queue.run(self._purge)

    async def _purge(self, key: str) -> float | None:
        place = self._places[key]
        pool = self._clusters.get(place.cluster).pool(place.pool, place.namespace)
        # A pool that the cluster's map does not hold is gone with its trash.
        with contextlib.suppress(PoolMissing):
            await pool.trash_remove(key.rpartition(" ")[2], fence=self._fence)
        del self._places[key]
        return None
