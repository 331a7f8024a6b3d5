"""Flattens the clones of classes with `flattenPolicy: async` in the background, a few at a time.

The volume's annotation is the only record of what is to be done, and is removed when the image and its parked ancestors
are finished. So a process that starts later continues.
"""

import asyncio
from collections.abc import Awaitable, Callable

from provisioner.ceph.errors import CephError, CephUnavailable, ImageMissing
from provisioner.ceph.removal_progress import Cancelled
from provisioner.volumes import metrics
from provisioner.volumes.image_locator import locate_image
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning.deletion import parse_ancestors
from provisioner.volumes.planning.flattening import flattened_patch, flattens
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from provisioner.volumes.work_progress import WorkProgress
from sutler.kube.errors import NotFound
from sutler.kube.resources import PERSISTENT_VOLUMES
from sutler.kube.workqueue import WorkQueue
from sutler.typedefs import Json
from sutler.volumes.locations import ids_of, is_sutler_volume, location_of, owner_of
from sutler.volumes.snapshot_handle import ImageHandle

WORKERS = 2
"""Images that are flattened at the same time, in all clusters."""
_STOP_SECONDS = 5.0
"""The longest time that the deletion of a volume waits until the flattening of its image has stopped."""


class Flattener:
    def __init__(
        self,
        context: LeaderContext,
        informers: VolumeInformers,
        *,
        release: Callable[[ImageHandle], Awaitable[None]],
    ) -> None:
        """`release`: removes an image if it is parked and nothing needs it any more."""
        self._context = context
        self._informers = informers
        self._release = release
        self._queue = WorkQueue("flatten", workers=WORKERS)
        self._due: set[str] = set()
        self._running: dict[str, tuple[WorkProgress, asyncio.Event]] = {}
        """By the volume's name. The event is set when the work has ended."""

    async def run(self) -> None:
        """Works until it is cancelled."""
        try:
            await self._queue.run(self._handle)
        finally:
            metrics.FLATTENING.set(0)

    def volume_changed(self, name: str) -> None:
        """Queues the volume if its image is to be flattened, or stops that if it is not any more."""
        cached = self._informers.volumes.get(name)
        if cached is not None and cached.flattens:
            if name not in self._due:
                self._due.add(name)
                self._queue.add(name)
        elif name in self._due:
            self._due.discard(name)
            self._request_stop(name)
        metrics.FLATTENING.set(len(self._due))

    async def stop(self, name: str) -> None:
        """Stops work on the volume's image, which would count as a user of the image when it is to be deleted."""
        running = self._request_stop(name)
        if running is not None:
            await asyncio.wait({asyncio.ensure_future(running.wait())}, timeout=_STOP_SECONDS)

    def _request_stop(self, name: str) -> asyncio.Event | None:
        if name not in self._running:
            return None
        progress, ended = self._running[name]
        progress.stop_reason = "its volume is not to be flattened any more"
        return ended

    async def _handle(self, name: str) -> float | None:
        volume = await self._context.get_or_none(PERSISTENT_VOLUMES, name)
        if volume is None or not is_sutler_volume(volume) or not flattens(volume):
            return None
        # It is registered before its thread starts, so that it can be stopped at once.
        progress, ended = self._running[name] = WorkProgress(self._context.fence), asyncio.Event()
        try:
            await self._flatten(volume, progress)
        except CephUnavailable as error:
            # The cause is known, and the error says when to try again: no reason for a growing back-off.
            return error.retry_after
        except Cancelled:
            if name in self._due:
                raise
        except CephError as error:
            metrics.FLATTEN_FAILED.labels(volume["spec"].get("storageClassName", "")).inc()
            self._context.events.warning(volume, "FlattenFailed", str(error))
            raise
        finally:
            # If this task was cancelled, the thread must not continue, since nothing waits for it any more.
            progress.stop_reason = progress.stop_reason or "the controller stops"
            del self._running[name]
            ended.set()
        return None

    async def _flatten(self, volume: Json, progress: WorkProgress) -> None:
        name, location = volume["metadata"]["name"], location_of(volume)
        located = None
        if location is not None:
            located = await locate_image(self._context, VolumeRequest(location, owner_of(volume), *ids_of(volume)))
        if located is None:
            raise ImageMissing(f"volume {name} has no image to flatten: see sutler volumes orphans")
        pool, image = located
        was_clone = await pool.flatten(
            image.id,
            fence=self._context.fence,
            progress=progress.report,
            last_activity=lambda: progress.reported,
        )
        if was_clone:
            metrics.FLATTENED.labels(volume["spec"].get("storageClassName", "")).inc()
            message = f"image {pool.name}/{image.name} has all of its data now and is no clone any more"
            self._context.events.normal(volume, "ImageFlattened", message)
        for ancestor in parse_ancestors(volume["metadata"]["annotations"]):
            await self._release(ancestor)
        try:
            await self._context.client.merge_patch(PERSISTENT_VOLUMES, name, flattened_patch())
        except NotFound:
            return
