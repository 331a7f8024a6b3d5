"""From a claim to an image to a PersistentVolume. A step that fails, or has an unknown outcome, is done again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.errors import CephError, ImageTaken, NoSpace, OutcomeUnknown, PoolMissing
from provisioner.ceph.model import ImageQuery, ImageSpec
from provisioner.volumes import metrics
from provisioner.volumes.cache_entries import CachedClaim
from provisioner.volumes.planning import claims, deletion
from provisioner.volumes.planning.image_name import image_name
from provisioner.volumes.planning.persistent_volume import CephSource, ImageLocation, entry, metadata, render
from provisioner.volumes.planning.storage_class import VolumeClass
from provisioner.volumes.refuser import ClaimRefuser
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, BadRequest, Forbidden, Invalid, KubeError, NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.identity import image_id

_log = log.get(__name__)

SOURCE = "rbd"
SLOW = 1.0
"""Seconds after which people are told that we are at it."""
STALE = 2.0
"""Seconds after which what we know of a claim is asked for again before its volume is made."""


@dataclass(frozen=True, slots=True)
class ProvisionAttempt:
    """An image that was asked for, and may be there, until its PersistentVolume is."""

    request: claims.ClaimRequest
    place: ImageLocation
    journal: bool


class Provisioner:
    def __init__(
        self,
        client: Client,
        clusters: CephClusters,
        events: EventRecorder,
        *,
        kubernetes: str,
        fence: Callable[[], None],
        absent: Callable[[str], bool],
        why_full: Callable[[VolumeClass], Awaitable[str]],
        refuser: ClaimRefuser,
    ) -> None:
        """What it needs to know.

        Args:
            client: fenced.
            clusters: for the images.
            events: about the claims.
            kubernetes: the identity of this Kubernetes cluster.
            fence: raises when we may not act any more.
            absent: whether nobody before us has made a volume of this name; False: ask.
            why_full: tells of a class whose pool is full what it holds.
            refuser: says on claims why they are not served.
        """
        self._client = client
        self._clusters = clusters
        self._events = events
        self._kubernetes = kubernetes
        self._fence = fence
        self._absent = absent
        self._why_full = why_full
        self.attempts: dict[str, ProvisionAttempt] = {}
        """By the name of the volume. Kept until the outcome is known, even if the claim is gone."""
        self.made: set[str] = set()
        """Volumes that are there and that the watch has not shown yet."""
        self._refuser = refuser

    async def provision(self, key: str, cls: VolumeClass, now: Callable[[], CachedClaim | None]) -> float | None:
        """Serves the claim that belongs to the volume's name, if it is to be served.

        `key` is the claim's namespace/name, `now` tells what the watch knows of it at this moment.
        Returns the seconds after which to look again, if that is needed.
        """
        namespace, name = key.split("/", 1)
        claim = await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        decision = claims.decide(claim, cls)
        if isinstance(decision, claims.IgnoreClaim):
            return None
        if isinstance(decision, claims.RefuseClaim):
            return self._refuser.say(claim, "ProvisioningFailed", decision.message)
        request = decision.request
        volume = well_known.volume_name(request.uid)
        untouched = volume not in self.attempts and volume not in self.made and self._absent(volume)
        if not untouched and (existing := await self._existing(volume)) is not None:
            await self._give_way(volume, existing)
            self._done(volume)
            return None
        return await self._attempt(claim, cls, request, now)

    async def _attempt(
        self, claim: Json, cls: VolumeClass, request: claims.ClaimRequest, now: Callable[[], CachedClaim | None]
    ) -> float | None:
        started = time.monotonic()
        image = entry(request).image if cls.journal else _image_name(cls, request)
        place = ImageLocation(cls.cluster, cls.pool, cls.namespace, image)
        volume = well_known.volume_name(request.uid)
        earlier = self.attempts.get(volume)
        if earlier is not None and earlier.place != place:
            # The class has been made anew since: what may be at the old place is nobody's.
            await self._remove_image(earlier)
            self._forget(volume)
        attempt = ProvisionAttempt(request, place, cls.journal)
        self._remember(volume, attempt)
        # Said only when there is something to wait for: two events for what took a moment are half of its cost.
        said = asyncio.get_running_loop().call_later(
            SLOW, self._events.normal, claim, "Provisioning", f"Making RBD image {place.path} of {request.size} bytes"
        )
        try:
            body = await self._create_image(cls, attempt)
            view = now()
            fresh = time.monotonic() - started < STALE and view is not None and view.uid == request.uid
            if not fresh and not await self._still_wanted(request):
                await self.clean_up(volume)
                return None
            saved = await self._save(attempt, body)
        except (CephError, KubeError) as error:
            self._failed(claim, cls, error, await self._why_full(cls) if isinstance(error, NoSpace) else "")
            raise
        finally:
            said.cancel()
        self._done(volume)
        if not saved:
            return None
        metrics.PROVISIONED.labels(cls.name, SOURCE).inc()
        metrics.PROVISION_SECONDS.labels(cls.name, SOURCE).observe(time.monotonic() - started)
        self._events.normal(
            claim,
            "ProvisioningSucceeded",
            f"Made volume {volume} with RBD image {place.path} by StorageClass {cls.name}",
        )
        if caution := claims.caution(request, cls.filesystem):
            self._events.warning(claim, "SmallFilesystem", caution)
        return None

    async def _create_image(self, cls: VolumeClass, attempt: ProvisionAttempt) -> Json:
        """Makes the image, and gives back its PersistentVolume to be saved."""
        request, place = attempt.request, attempt.place
        cluster = self._clusters.get(place.cluster)
        spec = ImageSpec(
            name=place.image,
            size=request.size,
            features=cls.features,
            object_size=cls.object_size,
            stripe_unit=cls.stripe_unit,
            stripe_count=cls.stripe_count,
            data_pool=cls.data_pool,
            metadata=metadata(request, self._kubernetes),
            id=image_id(self._kubernetes, place.image),
        )
        pool = cluster.pool(place.pool, place.namespace)
        cluster_id = place.cluster or await cluster.fsid()
        monitors = await cluster.monitors() if cls.volume_source == "rbd" else ()
        journaled = entry(request) if cls.journal else None
        pool_id, identifier = await pool.create(spec, owner=well_known.OWNER, fence=self._fence, entry=journaled)
        return render(request, cls, place, CephSource(cluster_id, pool_id, identifier, monitors))

    async def _save(self, attempt: ProvisionAttempt, body: Json) -> bool:
        """Whether the claim's volume has the attempt's image now; False: another one has come first."""
        volume = body["metadata"]["name"]
        try:
            await self._client.create(PERSISTENT_VOLUMES, body)
        except AlreadyExists:
            existing = await self._client.get(PERSISTENT_VOLUMES, volume)
            if (existing["spec"].get("claimRef") or {}).get("uid") != body["spec"]["claimRef"]["uid"]:
                raise
            return not await self._give_way(volume, existing)
        except (Invalid, BadRequest, Forbidden):
            # It will not be saved as it is: nothing may stay behind, unless it was saved after all.
            if await self._existing(volume) is None:
                await self._remove_image(attempt)
            raise
        return True

    async def _give_way(self, volume: str, existing: Json) -> bool:
        """Removes the attempt's image if the claim's volume, which exists, surely has another one."""
        attempt = self.attempts.get(volume)
        if attempt is None or not deletion.has_another(existing, attempt.place):
            return False
        await self._remove_image(attempt)
        if not deletion.is_ours(existing):
            self._events.warning(_claim(attempt.request), "ProvisioningFailed", _by_another(existing, attempt.place))
        return True

    def _failed(self, claim: Json, cls: VolumeClass, error: CephError | KubeError, more: str) -> None:
        metrics.PROVISION_FAILED.labels(cls.name, SOURCE).inc()
        if isinstance(error, CephError | BadRequest | Invalid | Forbidden):
            later = "; it is tried again until it is known" if isinstance(error, OutcomeUnknown) else ""
            self._events.warning(claim, "ProvisioningFailed", f"{error}{later}" + (f"; {more}" if more else ""))

    async def clean_up(self, volume: str) -> None:
        """Removes the image of an attempt whose claim is gone, unless its volume was saved: then that is deleted."""
        attempt = self.attempts.get(volume)
        existing = await self._existing(volume) if attempt is not None else None
        if existing is not None:
            await self._give_way(volume, existing)
        elif attempt is not None:
            await self._remove_image(attempt)
        self._forget(volume)

    def leave(self) -> None:
        """Somebody else leads now, and finds by the claims what is to be finished."""
        self.attempts.clear()
        metrics.IN_FLIGHT.set(0)

    async def _remove_image(self, attempt: ProvisionAttempt) -> None:
        place = attempt.place
        pool = self._clusters.get(place.cluster).pool(place.pool, place.namespace)
        # By its id: an image that is adopted for the claim meanwhile names the same owner.
        sought = ImageQuery(place.image, attempt.request.uid, self._kubernetes, image_id(self._kubernetes, place.image))
        try:
            await pool.remove(sought, fence=self._fence)
            if attempt.journal:
                await pool.drop(entry(attempt.request), fence=self._fence)
        except PoolMissing:
            pass
        except ImageTaken as error:
            # Another's, which is why the attempt failed: to ask for it again would change nothing.
            _log.warning("image of an attempt is kept", claim=attempt.request.key, error=str(error))

    async def _still_wanted(self, request: claims.ClaimRequest) -> bool:
        try:
            claim = await self._client.get(PERSISTENT_VOLUME_CLAIMS, request.name, request.namespace)
        except NotFound as error:
            if not error.reason:
                raise
            return False
        metadata, volume = claim["metadata"], claim["spec"].get("volumeName")
        same = metadata["uid"] == request.uid and "deletionTimestamp" not in metadata
        return same and volume in {None, "", well_known.volume_name(request.uid)}

    async def _existing(self, volume: str) -> Json | None:
        try:
            return await self._client.get(PERSISTENT_VOLUMES, volume)
        except NotFound as error:
            if not error.reason:
                raise  # not the API server's own word: images are removed on it
            return None

    def _remember(self, volume: str, attempt: ProvisionAttempt) -> None:
        self.attempts[volume] = attempt
        metrics.IN_FLIGHT.set(len(self.attempts))

    def _done(self, volume: str) -> None:
        self.made.add(volume)
        self._forget(volume)

    def _forget(self, volume: str) -> None:
        self.attempts.pop(volume, None)
        metrics.IN_FLIGHT.set(len(self.attempts))


def _image_name(cls: VolumeClass, request: claims.ClaimRequest) -> str:
    return image_name(cls.template, namespace=request.namespace, claim=request.name, uid=request.uid)


def _claim(request: claims.ClaimRequest) -> Json:
    """As events refer to it."""
    resource = PERSISTENT_VOLUME_CLAIMS
    metadata = {"namespace": request.namespace, "name": request.name, "uid": request.uid}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _by_another(volume: Json, place: ImageLocation) -> str:
    metadata = volume["metadata"]
    other = (metadata.get("annotations") or {}).get(well_known.PROVISIONED_BY, "")
    return (
        f"another provisioner{f' ({other})' if other else ''} has made volume {metadata['name']} for this claim; RBD "
        f"image {place.path} is removed again: let only one of them serve StorageClass "
        f"{volume['spec'].get('storageClassName', '')}"
    )
