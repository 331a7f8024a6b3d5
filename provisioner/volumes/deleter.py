"""Deletes released volumes: first the image, then the PersistentVolume, then Sutler's finalizer."""

import contextlib
import errno
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from provisioner.ceph.errors import CephError, InUse, PoolMissing
from provisioner.ceph.model import ImageQuery
from provisioner.ceph.pool import RbdPool
from provisioner.volumes import metrics
from provisioner.volumes.cache_entries import CachedAttachment
from provisioner.volumes.image_locator import locate_pool
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning import deletion
from provisioner.volumes.planning.image_users import keep_reason
from sutler import well_known
from sutler.kube.errors import Conflict, Invalid, NotFound
from sutler.kube.events import EventDeduplicator
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes.attachments import attachment_message
from sutler.volumes.locations import ImageLocation
from sutler.volumes.snapshot_handle import ImageHandle

TRIES = 3
"""Attempts to remove the finalizer while others change the list, too."""
ATTACHED_SECONDS = 10.0
"""Seconds for which a released volume may be attached before an event says so, because detaching takes some time."""


class Deleter:
    def __init__(
        self,
        context: LeaderContext,
        informers: VolumeInformers,
        *,
        purge: Callable[[ImageLocation, str], None],
        release: Callable[[ImageHandle], Awaitable[None]],
    ) -> None:
        """The context and three collaborators.

        Args:
            context: of this leadership.
            informers: of claims and volumes.
            purge: schedules the removal of an image from the trash, by its location and id.
            release: removes an image if it is parked and nothing needs it any more.
        """
        self._context = context
        self._client = context.client
        self._events = context.events
        self._informers = informers
        self._purge = purge
        self._release = release
        self._attached_since: dict[str, float] = {}
        """Monotonic time by the volume's name."""
        self._emitted = EventDeduplicator()

    async def delete(self, name: str) -> None:
        """Deletes the volume with its image, if that is due."""
        try:
            volume = await self._client.get(PERSISTENT_VOLUMES, name)
        except NotFound:
            self._attached_since.pop(name, None)
            return
        attachments = self._informers.attachments(name)
        decision = deletion.decide(volume, attached=bool(attachments))
        if isinstance(decision, deletion.VolumeAttached):
            self._report_attached(volume, attachments)
            return
        self._attached_since.pop(name, None)
        match decision:
            case deletion.DeleteImage():
                if decision.rebound_claim is None or not await self._exists(decision.rebound_claim):
                    await self._delete(volume, decision)
            case deletion.ReleaseVolume():
                await self._remove_finalizer(volume)
            case deletion.ImageUnclear(message):
                self._events.warning(volume, "VolumeFailedDelete", message)
            case deletion.KeepVolume():
                pass

    async def _exists(self, claim: deletion.BoundClaim) -> bool:
        found = await self._context.get_or_none(PERSISTENT_VOLUME_CLAIMS, claim.name, claim.namespace)
        return found is not None and bool(found["metadata"]["uid"] == claim.uid)

    def _report_attached(self, volume: Json, attachments: list[CachedAttachment]) -> None:
        name, now = volume["metadata"]["name"], time.monotonic()
        if now - self._attached_since.setdefault(name, now) < ATTACHED_SECONDS:
            return
        message = attachment_message((one.name, one.node) for one in attachments)
        if self._emitted.should_emit(name, message, now):
            self._events.warning(volume, "VolumeFailedDelete", message)

    async def _delete(self, volume: Json, decision: deletion.DeleteImage) -> None:
        started = time.monotonic()
        cls = volume["spec"].get("storageClassName", "")
        try:
            await self._delete_image(volume, decision)
        except CephError as error:
            metrics.DELETE_FAILED.labels(cls).inc()
            self._events.warning(volume, "VolumeFailedDelete", str(error))
            raise
        metadata = volume["metadata"]
        with contextlib.suppress(NotFound):
            if "deletionTimestamp" not in metadata:
                await self._client.delete(PERSISTENT_VOLUMES, metadata["name"], uid=metadata["uid"])
            await self._remove_finalizer(volume)
        metrics.DELETED.labels(cls).inc()
        metrics.DELETE_SECONDS.labels(cls).observe(time.monotonic() - started)

    async def _delete_image(self, volume: Json, decision: deletion.DeleteImage) -> None:
        request = decision.image
        if reason := keep_reason(volume, request, self._informers.claims, self._informers.volumes):
            raise InUse(reason)
        pool = await locate_pool(self._context, request)
        # A pool that is missing in the cluster's map was deleted with all its images.
        if pool is not None:
            with contextlib.suppress(PoolMissing):
                await self._remove_or_park(volume, decision, pool)
        # The volume is deleted last: after an interruption, it still names these images.
        for image in decision.ancestors:
            await self._release(image)

    async def _remove_or_park(self, volume: Json, decision: deletion.DeleteImage, pool: RbdPool) -> None:
        query, fence = decision.image.query(self._context.kubernetes), self._context.fence
        try:
            await self._remove_image(volume, decision, pool, query)
        except InUse as error:
            if error.code != errno.ENOTEMPTY or not await pool.park(query, decision.trash_delay, fence=fence):
                raise
            self._events.normal(volume, "ImageParked", _parked_message(decision.image.location))
        if decision.entry is not None:
            await pool.remove_journal_entry(decision.entry, fence=fence)

    async def _remove_image(
        self, volume: Json, decision: deletion.DeleteImage, pool: RbdPool, query: ImageQuery
    ) -> None:
        if decision.trash_delay is not None:
            await pool.move_to_trash(query, delay=decision.trash_delay, fence=self._context.fence)
            return
        trash_id = await pool.remove(query, fence=self._context.fence)
        if trash_id is not None:
            location = replace(decision.image.location, pool=pool.name)
            self._purge(location, trash_id)
            self._events.normal(volume, "ImagePurging", _purging_message(location, trash_id))

    async def _remove_finalizer(self, volume: Json) -> None:
        metadata = volume["metadata"]
        for _ in range(TRIES):
            if well_known.FINALIZER not in (volume["metadata"].get("finalizers") or []):
                return
            try:
                patch = deletion.finalizer_removal(volume)
                await self._client.json_patch(PERSISTENT_VOLUMES, metadata["name"], patch)
            except (Conflict, Invalid):
                volume = await self._client.get(PERSISTENT_VOLUMES, metadata["name"])
                if volume["metadata"]["uid"] != metadata["uid"]:
                    return
            else:
                return
        raise Conflict(409, "Conflict", f"PersistentVolume {metadata['name']}: its finalizers keep changing")


def _parked_message(location: ImageLocation) -> str:
    return (
        f"snapshots or clones need image {location.path}: Sutler deletes the volume now, and the image after its last "
        "snapshot and clone"
    )


def _purging_message(location: ImageLocation, identifier: str) -> str:
    return (
        f"image {location.path} is large: Sutler has moved it to the trash as {identifier} and removes it from there. "
        f"For progress and remaining time: sutler images trash list {location.pool_location.path}"
    )
