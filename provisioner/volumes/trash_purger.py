"""Removing images from the trash: seconds, minutes or days of work that nothing waits for."""

import asyncio
import contextlib
from collections.abc import Callable
from time import monotonic
from typing import NoReturn

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.data_removal import LARGE
from provisioner.ceph.errors import CephError, PoolMissing
from provisioner.ceph.pool import RbdPool
from provisioner.ceph.removal_progress import Cancelled
from provisioner.volumes import metrics
from provisioner.volumes.planning.persistent_volume import ImageLocation
from provisioner.volumes.planning.purge_order import WORKERS, PurgeJob, PurgeOrder
from sutler import log
from sutler.errors import SutlerError
from sutler.kube.backoff import Backoff
from sutler.kube.metrics import QUEUE_RETRIES
from sutler.kube.workqueue import WorkQueue

_log = log.get(__name__)

_LOOK = 5.0
"""Seconds between two looks at what is being removed."""
_TELL_EVERY = 12
"""Looks after which the log says how far a removal is."""
_FENCE_EVERY = 1.0
"""Seconds after which a removal that goes on asks whether we may still act."""


class PurgeResult:
    """One that is under way."""

    def __init__(self, fence: Callable[[], None]) -> None:
        self._fence = fence
        self._fenced = self.started = self.seen = monotonic()
        self.share = 0.0
        self.stopped = ""

    def report(self, share: float) -> None:
        """Called by librbd's threads, thousands of times a second."""
        now = monotonic()
        self.share, self.seen = share, now
        if now - self._fenced >= _FENCE_EVERY:
            self._fenced = now
            try:
                self._fence()
            except SutlerError as error:
                self.stopped = str(error)
        if self.stopped:
            raise Cancelled(self.stopped)

    def left(self) -> float | None:
        """Seconds, estimated; None while there is too little to go by."""
        return (self.seen - self.started) * (1 - self.share) / self.share if self.share else None


class TrashPurger:
    """What is lost here when the process ends is found in the trash by the next comparison."""

    def __init__(self, clusters: CephClusters, fence: Callable[[], None]) -> None:
        self._clusters = clusters
        self._fence = fence
        self._places: dict[str, tuple[ImageLocation, str]] = {}
        self._failures: dict[str, int] = {}
        self._backoff = Backoff(first=1.0, most=300.0)
        # Asks how large each image is; `_lanes` decides when it is its turn.
        self._queue = WorkQueue("purge", workers=WORKERS)
        self._lanes = PurgeOrder()
        self._changed = asyncio.Event()
        self._running: dict[PurgeJob, PurgeResult] = {}
        self._told: set[tuple[str, str]] = set()

    def add(self, place: ImageLocation, identifier: str) -> None:
        key = f"{place.cluster} {place.path} {identifier}"
        if key in self._places:
            return  # a comparison has found what is being removed all the while
        self._places[key] = place, identifier
        self._queue.add(key)

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._queue.run(self._enter), name="purge sizes")
                group.create_task(self._look(), name="purge progress")
                while True:
                    self._changed.clear()
                    while (job := self._lanes.take()) is not None:
                        # Before it has begun it can already be stopped.
                        self._running[job] = PurgeResult(self._fence)
                        group.create_task(self._work(job), name="purge")
                    await self._changed.wait()
        finally:
            self._tell({})

    async def _enter(self, key: str) -> None:
        place, identifier = self._places[key]
        try:
            objects = await self._pool(place).objects(identifier)
        except PoolMissing:
            self._forget(key)  # gone with its trash
            return
        self._lanes.add(PurgeJob(place, identifier, objects, key))
        self._changed.set()

    async def _work(self, job: PurgeJob) -> None:
        removal = self._running[job]
        said = {"image": job.place.image, "pool": job.place.pool, "cluster": job.place.cluster, "id": job.identifier}
        if job.objects >= LARGE:
            _log.info("large image is being removed from the trash", objects=job.objects, **said)
        try:
            await self._remove(job, removal)
        except Exception as error:  # noqa: BLE001 - one poisoned image must not end the work on the others
            self._failed(job, error, said)
        else:
            self._forget(job.key)
            if job.objects >= LARGE:
                _log.info("large image was removed", seconds=round(monotonic() - removal.started), **said)
        finally:
            # Cancelled or not: the thread must not go on when nothing waits for it any more.
            removal.stopped = removal.stopped or "the controller stops"
            del self._running[job]
            self._lanes.done(job)
            self._changed.set()

    async def _remove(self, job: PurgeJob, removal: PurgeResult) -> None:
        pool = self._pool(job.place)
        try:
            await pool.trash_remove(
                job.identifier, fence=self._fence, progress=removal.report, alive=lambda: removal.seen
            )
        except PoolMissing:
            return  # gone with its trash
        except Cancelled:
            if await pool.exists():
                raise

    def _failed(self, job: PurgeJob, error: Exception, said: dict[str, str]) -> None:
        self._failures[job.key] = failures = self._failures.get(job.key, 0) + 1
        delay = self._backoff.delay(failures)
        self._queue.add_after(job.key, delay)
        QUEUE_RETRIES.labels("purge").inc()
        if isinstance(error, SutlerError):
            _log.warning("image stays in the trash", error=str(error), again_in=round(delay, 1), **said)
        else:
            _log.error("failed by a defect", exc_info=error, **said)

    def _forget(self, key: str) -> None:
        self._places.pop(key, None)
        self._failures.pop(key, None)

    def _pool(self, place: ImageLocation) -> RbdPool:
        return self._clusters.get(place.cluster).pool(place.pool, place.namespace)

    async def _look(self) -> NoReturn:
        looks = 0
        while True:
            await asyncio.sleep(_LOOK)
            looks += 1
            for job, removal in list(self._running.items()):
                # librbd takes the objects of a pool that is gone for removed, and asks the monitors for each of them.
                with contextlib.suppress(CephError):
                    if not await self._pool(job.place).exists():
                        removal.stopped = "its pool is gone"
                if looks % _TELL_EVERY == 0:
                    left = removal.left()
                    _log.info(
                        "image is being removed from the trash", image=job.place.image, pool=job.place.pool,
                        done=round(removal.share, 4), seconds_left=None if left is None else round(left),
                    )  # fmt: skip
            self._tell(self._running)

    def _tell(self, running: dict[PurgeJob, PurgeResult]) -> None:
        """By pool: how many wait or run, how far the one is that has most before it, and how long that takes."""
        pools = {job.pool for job in (*running, *(self._lanes.waiting() if running else ()))}
        for pool in pools:
            of_pool = [removal for job, removal in running.items() if job.pool == pool]
            waiting = sum(job.pool == pool for job in self._lanes.waiting())
            metrics.PURGES.labels(*pool).set(len(of_pool) + waiting)
            if of_pool:
                metrics.PURGE_PROGRESS.labels(*pool).set(min(removal.share for removal in of_pool))
                metrics.PURGE_LEFT.labels(*pool).set(max(removal.left() or 0.0 for removal in of_pool))
            else:
                for gauge in (metrics.PURGE_PROGRESS, metrics.PURGE_LEFT):
                    metrics.take_back(gauge, *pool)
        for pool in self._told - pools:
            for gauge in (metrics.PURGES, metrics.PURGE_PROGRESS, metrics.PURGE_LEFT):
                metrics.take_back(gauge, *pool)
        self._told = pools
