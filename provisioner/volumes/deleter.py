"""From a released PersistentVolume to nothing: the image, then the PersistentVolume, then our finalizer."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.errors import CephError, InUse, PoolMissing
from provisioner.volumes import metrics
from provisioner.volumes.cache_entries import CachedAttachment
from provisioner.volumes.event_deduplication import AN_HOUR, EventDeduplicator
from provisioner.volumes.image_locator import pool_of
from provisioner.volumes.planning import deletion
from provisioner.volumes.planning.persistent_volume import ImageLocation, VolumeRequest
from sutler.kube.client import Client
from sutler.kube.errors import Conflict, Invalid, NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.attachments import in_words

TRIES = 3
"""Of taking the finalizer off, while others change the list, too."""
PATIENCE = 10.0
"""Seconds for which a released volume may be attached before its event says so."""


class Deleter:
    def __init__(
        self,
        client: Client,
        clusters: CephClusters,
        events: EventRecorder,
        *,
        kubernetes: str,
        attachments: Callable[[str], list[CachedAttachment]],
        fence: Callable[[], None],
        purge: Callable[[ImageLocation, str], None],
        needed: Callable[[Json, VolumeRequest], str],
    ) -> None:
        """What it needs to know and to tell.

        Args:
            client: fenced.
            clusters: with the images.
            events: about the volumes.
            kubernetes: the identity of this Kubernetes cluster.
            attachments: those of nodes that have the volume.
            fence: raises when we may not act any more.
            purge: takes the id of an image in the trash that is to be removed when there is time.
            needed: why a claim or another volume needs the image; empty: none does.
        """
        self._client = client
        self._clusters = clusters
        self._events = events
        self._kubernetes = kubernetes
        self._attachments = attachments
        self._fence = fence
        self._purge = purge
        self._needed = needed
        self._attached_since: dict[str, float] = {}
        self._told = EventDeduplicator(AN_HOUR)

    async def remove(self, name: str) -> None:
        """Deletes the volume with its image, if it is to go."""
        try:
            volume = await self._client.get(PERSISTENT_VOLUMES, name)
        except NotFound:
            self._attached_since.pop(name, None)
            return
        attachments = self._attachments(name)
        decision = deletion.decide(volume, attached=bool(attachments))
        if isinstance(decision, deletion.VolumeAttached):
            self._say_attached(volume, attachments)
            return
        self._attached_since.pop(name, None)
        match decision:
            case deletion.DeleteImage():
                if decision.bound_again is None or not await self._is_there(decision.bound_again):
                    await self._delete(volume, decision)
            case deletion.ReleaseVolume():
                await self._take_finalizer_off(volume)
            case deletion.ImageUnclear(message):
                self._events.warning(volume, "VolumeFailedDelete", message)
            case deletion.KeepVolume():
                pass

    async def _is_there(self, claim: deletion.BoundClaim) -> bool:
        try:
            found = await self._client.get(PERSISTENT_VOLUME_CLAIMS, claim.name, claim.namespace)
        except NotFound as error:
            if not error.reason:
                raise  # not the API server's own word
            return False
        return bool(found["metadata"]["uid"] == claim.uid)

    def _say_attached(self, volume: Json, attachments: list[CachedAttachment]) -> None:
        """To detach a volume takes some seconds: that is not worth a word."""
        name, now = volume["metadata"]["name"], time.monotonic()
        if now - self._attached_since.setdefault(name, now) < PATIENCE:
            return
        message = in_words((one.name, one.node) for one in attachments)
        if self._told.is_news(name, message, now):
            self._events.warning(volume, "VolumeFailedDelete", message)

    async def _delete(self, volume: Json, decision: deletion.DeleteImage) -> None:
        started = time.monotonic()
        cls = volume["spec"].get("storageClassName", "")
        try:
            await self._remove_image(volume, decision)
        except CephError as error:
            metrics.DELETE_FAILED.labels(cls).inc()
            self._events.warning(volume, "VolumeFailedDelete", str(error))
            raise
        metadata = volume["metadata"]
        with contextlib.suppress(NotFound):
            if "deletionTimestamp" not in metadata:
                await self._client.delete(PERSISTENT_VOLUMES, metadata["name"], uid=metadata["uid"])
            await self._take_finalizer_off(volume)
        metrics.DELETED.labels(cls).inc()
        metrics.DELETE_SECONDS.labels(cls).observe(time.monotonic() - started)

    async def _remove_image(self, volume: Json, decision: deletion.DeleteImage) -> None:
        wanted = decision.image
        if why := self._needed(volume, wanted):
            raise InUse(why)
        pool = await pool_of(self._clusters, wanted, self._kubernetes)
        if pool is None:
            return
        sought = wanted.sought(self._kubernetes)
        # A pool that the cluster's map does not hold is gone with all its images.
        with contextlib.suppress(PoolMissing):
            if decision.trash_delay is None:
                later = await pool.remove(sought, fence=self._fence)
                if later is not None:
                    place = replace(wanted.place, pool=pool.name)
                    self._purge(place, later)
                    self._events.normal(volume, "ImagePurging", _purging(place, later))
            else:
                await pool.trash(sought, delay=decision.trash_delay, fence=self._fence)
            if decision.entry is not None:
                await pool.drop(decision.entry, fence=self._fence)

    async def _take_finalizer_off(self, volume: Json) -> None:
        metadata = volume["metadata"]
        for _ in range(TRIES):
            if well_known.FINALIZER not in (volume["metadata"].get("finalizers") or []):
                return
            try:
                patch = deletion.without_finalizer(volume)
                await self._client.json_patch(PERSISTENT_VOLUMES, metadata["name"], patch)
            except (Conflict, Invalid):
                volume = await self._client.get(PERSISTENT_VOLUMES, metadata["name"])
                if volume["metadata"]["uid"] != metadata["uid"]:
                    return
            else:
                return
        raise Conflict(409, "Conflict", f"PersistentVolume {metadata['name']}: its finalizers keep changing")


def _purging(place: ImageLocation, identifier: str) -> str:
    where = f"{place.pool}/{place.namespace}" if place.namespace else place.pool
    return (
        f"image {place.path} is large: it lies in the trash as {identifier} and is removed from there; "
        f"sutler images trash list {where} shows how far that is and how long it takes yet"
    )
