"""Removes images from the trash: work of seconds, minutes or days that nothing waits for."""

import asyncio
import contextlib
from collections.abc import Callable
from time import monotonic
from typing import NoReturn

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.data_removal import LARGE_IMAGE_OBJECTS
from provisioner.ceph.errors import CephError, PoolMissing
from provisioner.ceph.pool import RbdPool
from provisioner.ceph.removal_progress import Cancelled
from provisioner.volumes import metrics
from provisioner.volumes.planning.purge_order import WORKERS, PurgeJob, PurgeOrder
from provisioner.volumes.work_progress import WorkProgress
from sutler import log
from sutler.errors import SutlerError
from sutler.kube.backoff import Backoff
from sutler.kube.metrics import QUEUE_RETRIES
from sutler.kube.workqueue import WorkQueue
from sutler.volumes.locations import ImageLocation

_log = log.get(__name__)

_PROGRESS_SECONDS = 5.0
"""Seconds between two updates of the metrics of running removals."""
_LOG_EVERY = 12
"""The number of updates after which the log shows the progress of a removal."""


class TrashPurger:
    """Removes images from the trash. After a restart, the next scan of the trash finds those that are left."""

    def __init__(self, clusters: CephClusters, fence: Callable[[], None]) -> None:
        self._clusters = clusters
        self._fence = fence
        self._images: dict[str, tuple[ImageLocation, str]] = {}
        """Location and id of each image, by the key of the queue."""
        self._failures: dict[str, int] = {}
        self._backoff = Backoff(first=1.0, most=300.0)
        # The queue reads how large each image is; `_order` decides when it is removed.
        self._queue = WorkQueue("purge", workers=WORKERS)
        self._order = PurgeOrder()
        self._changed = asyncio.Event()
        self._running: dict[PurgeJob, WorkProgress] = {}
        self._published: set[tuple[str, str]] = set()
        """Cluster and pool of the metrics that exist."""

    def add(self, location: ImageLocation, identifier: str) -> None:
        """Schedules the removal of the image with this id; `location` is where it was before it was in the trash."""
        key = f"{location.cluster} {location.path} {identifier}"
        if key in self._images:
            return  # a scan has found an image that is being removed
        self._images[key] = location, identifier
        self._queue.add(key)

    async def run(self) -> None:
        """Works until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._queue.run(self._read_size), name="purge sizes")
                group.create_task(self._update_progress(), name="purge progress")
                while True:
                    self._changed.clear()
                    while (job := self._order.start_next()) is not None:
                        # It is registered before its task starts, so that it can be stopped at once.
                        self._running[job] = WorkProgress(self._fence)
                        group.create_task(self._work(job), name="purge")
                    await self._changed.wait()
        finally:
            self._publish({})

    async def _read_size(self, key: str) -> None:
        location, identifier = self._images[key]
        try:
            objects = await self._pool(location).count_objects(identifier)
        except PoolMissing:
            self._finish(key)  # deleted with its trash
            return
        self._order.add(PurgeJob(location, identifier, objects, key))
        self._changed.set()

    async def _work(self, job: PurgeJob) -> None:
        progress, location = self._running[job], job.location
        fields = {"image": location.image, "pool": location.pool, "cluster": location.cluster, "id": job.identifier}
        if job.objects >= LARGE_IMAGE_OBJECTS:
            _log.info("removing a large image from the trash", objects=job.objects, **fields)
        try:
            await self._remove(job, progress)
        except Exception as error:  # noqa: BLE001 - one poisoned image must not end the work on the others
            self._schedule_retry(job, error, fields)
        else:
            self._finish(job.key)
            if job.objects >= LARGE_IMAGE_OBJECTS:
                _log.info(
                    "removed a large image from the trash", seconds=round(monotonic() - progress.started), **fields
                )
        finally:
            # If this task was cancelled, the thread must not continue, since nothing waits for it any more.
            progress.stop_reason = progress.stop_reason or "the controller stops"
            del self._running[job]
            self._order.done(job)
            self._changed.set()

    async def _remove(self, job: PurgeJob, progress: WorkProgress) -> None:
        pool = self._pool(job.location)
        try:
            await pool.purge(
                job.identifier, fence=self._fence, progress=progress.report, last_activity=lambda: progress.reported
            )
        except PoolMissing:
            return  # deleted with its trash
        except Cancelled:
            if await pool.exists():
                raise

    def _schedule_retry(self, job: PurgeJob, error: Exception, fields: dict[str, str]) -> None:
        self._failures[job.key] = failures = self._failures.get(job.key, 0) + 1
        delay = self._backoff.delay(failures)
        self._queue.add_after(job.key, delay)
        QUEUE_RETRIES.labels("purge").inc()
        if isinstance(error, SutlerError):
            _log.warning(
                "could not remove image from the trash", error=str(error), retry_seconds=round(delay, 1), **fields
            )
        else:
            _log.error("unhandled error", exc_info=error, **fields)

    def _finish(self, key: str) -> None:
        self._images.pop(key, None)
        self._failures.pop(key, None)

    def _pool(self, location: ImageLocation) -> RbdPool:
        return self._clusters.get(location.cluster).pool(location.pool, location.namespace)

    async def _update_progress(self) -> NoReturn:
        updates = 0
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            updates += 1
            for job, progress in list(self._running.items()):
                # librbd counts the objects of a deleted pool as removed, and asks the monitors for each of them.
                with contextlib.suppress(CephError):
                    if not await self._pool(job.location).exists():
                        progress.stop_reason = "the pool was deleted"
                if updates % _LOG_EVERY == 0:
                    left = progress.seconds_left()
                    _log.info(
                        "removing image from the trash", image=job.location.image, pool=job.location.pool,
                        done=round(progress.share, 4), seconds_left=None if left is None else round(left),
                    )  # fmt: skip
            self._publish(self._running)

    def _publish(self, running: dict[PurgeJob, WorkProgress]) -> None:
        """Sets the metrics of each pool: waiting and running removals, least progress, longest remaining time."""
        pools = {job.pool for job in (*running, *(self._order.waiting() if running else ()))}
        for pool in pools:
            of_pool = [progress for job, progress in running.items() if job.pool == pool]
            waiting = sum(job.pool == pool for job in self._order.waiting())
            metrics.PURGES.labels(*pool).set(len(of_pool) + waiting)
            if of_pool:
                metrics.PURGE_PROGRESS.labels(*pool).set(min(progress.share for progress in of_pool))
                metrics.PURGE_LEFT.labels(*pool).set(max(progress.seconds_left() or 0.0 for progress in of_pool))
            else:
                for gauge in (metrics.PURGE_PROGRESS, metrics.PURGE_LEFT):
                    metrics.remove_series(gauge, *pool)
        for pool in self._published - pools:
            for gauge in (metrics.PURGES, metrics.PURGE_PROGRESS, metrics.PURGE_LEFT):
                metrics.remove_series(gauge, *pool)
        self._published = pools
