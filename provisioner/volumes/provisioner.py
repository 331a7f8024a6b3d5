"""Provisions the volume of a claim: first the image, then its PersistentVolume.

A step that fails, or whose outcome is unknown, is repeated until its outcome is known.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from provisioner.ceph.errors import CephError, ImageTaken, NoSpace, OutcomeUnknown, PoolMissing
from provisioner.ceph.model import ImageQuery, ImageSpec
from provisioner.volumes import metrics
from provisioner.volumes.attributes import with_attributes
from provisioner.volumes.cache_entries import CachedClaim
from provisioner.volumes.claim_reader import ClaimReader
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning import claims, deletion
from provisioner.volumes.planning.attributes_class import AttributesClassError
from provisioner.volumes.planning.data_source import SourceObstacle
from provisioner.volumes.planning.image_name import image_name
from provisioner.volumes.planning.persistent_volume import CephSource, image_metadata, journal_entry, render
from provisioner.volumes.planning.storage_class import VolumeClass
from provisioner.volumes.refuser import ClaimRefuser
from provisioner.volumes.source_finder import FoundSource, SourceFinder
from sutler import log, well_known
from sutler.kube.errors import AlreadyExists, BadRequest, Forbidden, Invalid, KubeError
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes.identity import image_id
from sutler.volumes.locations import ImageLocation, is_sutler_volume
from sutler.volumes.snapshot_handle import ImageHandle
from sutler.volumes.volume_name import volume_name

_log = log.get(__name__)

SOURCE = "rbd"
SLOW_SECONDS = 1.0
"""Seconds after which an event says that the image is being created."""
AWAIT_SECONDS = 10.0
"""Seconds after which a claim's source that is not ready yet, or its VolumeAttributesClass, is read again."""
REFUSED_SOURCE_SECONDS = 60.0
"""Seconds after which a source is read again that can't be cloned until a user changes something."""
STALE_SECONDS = 1.0
"""Seconds after which the claim is read again before its volume is saved. It was read up to a second before them."""


@dataclass(frozen=True, slots=True)
class ProvisionAttempt:
    """An image that was requested and may exist, until its PersistentVolume is saved."""

    request: claims.ClaimRequest
    location: ImageLocation
    journal: bool


class Provisioner:
    def __init__(
        self,
        context: LeaderContext,
        *,
        claim_reader: ClaimReader,
        is_absent: Callable[[str], bool],
        describe_pools: Callable[[VolumeClass], Awaitable[str]],
        refuser: ClaimRefuser,
        sources: SourceFinder,
    ) -> None:
        """The context and five collaborators.

        Args:
            context: of this leadership.
            claim_reader: reads the claims.
            is_absent: whether no former leader can have saved a volume of this name; False: it has to be read.
            describe_pools: describes how full the pools of a class are.
            refuser: emits events on claims that can't be served.
            sources: finds what is cloned for claims with a data source.
        """
        self._context = context
        self._events = context.events
        self._claim_reader = claim_reader
        self._is_absent = is_absent
        self._describe_pools = describe_pools
        self._refuser = refuser
        self._sources = sources
        self._attempts: dict[str, ProvisionAttempt] = {}
        """By the volume's name. Each is kept until its outcome is known, even if the claim is deleted."""
        self._saved: set[str] = set()
        """Volumes that exist and that the watch has not shown yet."""

    def is_pending(self, volume: str) -> bool:
        """Whether an image was requested for the volume, and the outcome is not known yet."""
        return volume in self._attempts

    def has_saved(self, volume: str) -> bool:
        """Whether the volume exists, and the watch has not shown it yet."""
        return volume in self._saved

    def record_observed(self, volume: str) -> None:
        """Records that the watch has shown the volume."""
        self._saved.discard(volume)

    async def provision(self, key: str, cls: VolumeClass, cached: Callable[[], CachedClaim | None]) -> float | None:
        """Provisions the volume of a claim, if that is due.

        Args:
            key: namespace/name of the claim.
            cls: its class.
            cached: returns the claim as the watch shows it at this moment.

        Returns:
            The seconds after which to try again, if that is needed.
        """
        namespace, name = key.split("/", 1)
        claim = await self._claim_reader.read(name, namespace)
        decision = claims.decide(claim, cls)
        if isinstance(decision, claims.IgnoreClaim):
            return None
        if isinstance(decision, claims.RefuseClaim):
            return self._refuser.emit(claim, "ProvisioningFailed", decision.message)
        if isinstance(decision, claims.AwaitPopulator):
            return self._refuser.inform(claim, "Provisioning", decision.message)
        request = decision.request
        volume = volume_name(request.uid)
        is_new = volume not in self._attempts and volume not in self._saved and self._is_absent(volume)
        if not is_new and (existing := await self._get_volume(volume)) is not None:
            await self._yield_to(volume, existing)
            self._record_saved(volume)
            return None
        found = None
        try:
            request = await with_attributes(self._context, request)
            if request.source is not None:
                found = await self._sources.find(request, request.source, cls)
                cls = replace(cls, filesystem=found.filesystem or cls.filesystem)
        except (AttributesClassError, SourceObstacle) as obstacle:
            self._refuser.emit(claim, "ProvisioningFailed", str(obstacle))
            temporary = obstacle.temporary if isinstance(obstacle, SourceObstacle) else True
            return AWAIT_SECONDS if temporary else REFUSED_SOURCE_SECONDS
        return await self._attempt(claim, cls, request, cached, found)

    async def _attempt(
        self,
        claim: Json,
        cls: VolumeClass,
        request: claims.ClaimRequest,
        cached: Callable[[], CachedClaim | None],
        source: FoundSource | None,
    ) -> float | None:
        started = time.monotonic()
        image = journal_entry(request).image if cls.journal else _image_name(cls, request)
        location = ImageLocation(cls.cluster, cls.pool, cls.namespace, image)
        volume = volume_name(request.uid)
        earlier = self._attempts.get(volume)
        if earlier is not None and earlier.location != location:
            # The class was replaced since: no volume will use an image at the old location.
            await self._remove_image(earlier)
            self._drop_attempt(volume)
        attempt = ProvisionAttempt(request, location, cls.journal)
        self._record_attempt(volume, attempt)
        # Emitted only if it takes long: for a fast one, a second event would be half of the cost.
        event = asyncio.get_running_loop().call_later(
            SLOW_SECONDS,
            self._events.normal,
            claim,
            "Provisioning",
            f"Creating RBD image {location.path} of {request.size} bytes",
        )
        try:
            body = await self._create_image(cls, attempt, source)
            current = cached()
            is_fresh = time.monotonic() - started < STALE_SECONDS and current is not None and current.uid == request.uid
            if not is_fresh and not await self._is_needed(request):
                await self.clean_up(volume)
                return None
            saved = await self._save(attempt, body)
        except (CephError, KubeError) as error:
            details = await self._describe_pools(cls) if isinstance(error, NoSpace) else ""
            self._report_failure(claim, cls, error, details)
            raise
        finally:
            event.cancel()
        self._record_saved(volume)
        if not saved:
            return None
        metrics.PROVISIONED.labels(cls.name, SOURCE).inc()
        metrics.PROVISION_SECONDS.labels(cls.name, SOURCE).observe(time.monotonic() - started)
        self._events.normal(
            claim,
            "ProvisioningSucceeded",
            f"Provisioned volume {volume} with RBD image {location.path} of StorageClass {cls.name}",
        )
        if size_warning := claims.size_warning(request, cls.filesystem):
            self._events.warning(claim, "SmallFilesystem", size_warning)
        return None

    async def _create_image(self, cls: VolumeClass, attempt: ProvisionAttempt, source: FoundSource | None) -> Json:
        """Creates the image, and returns the PersistentVolume to save."""
        request, location = attempt.request, attempt.location
        cluster = self._context.clusters.get(location.cluster)
        spec = ImageSpec(
            name=location.image,
            size=request.size,
            features=cls.features,
            object_size=cls.object_size,
            stripe_unit=cls.stripe_unit,
            stripe_count=cls.stripe_count,
            data_pool=cls.data_pool,
            metadata=image_metadata(request, cls, self._context.kubernetes),
            id=image_id(self._context.kubernetes, location.image),
        )
        pool = cluster.pool(location.pool, location.namespace)
        cluster_id = location.cluster or await cluster.fsid()
        monitors = await cluster.monitors() if cls.volume_source == "rbd" else ()
        if source is not None:
            pool_id, cloned = await pool.create_clone(spec, source.origin, fence=self._context.fence)
            ancestors = tuple(
                ImageHandle(location.cluster, one.pool, one.namespace, one.image) for one in cloned.ancestors
            )
            return render(request, cls, location, CephSource(cluster_id, pool_id, cloned.id, monitors, ancestors))
        entry = journal_entry(request) if cls.journal else None
        pool_id, identifier = await pool.create(spec, owner=well_known.OWNER, fence=self._context.fence, entry=entry)
        return render(request, cls, location, CephSource(cluster_id, pool_id, identifier, monitors))

    async def _save(self, attempt: ProvisionAttempt, body: Json) -> bool:
        """Saves the volume. Returns whether the claim's volume has the attempt's image; False: it has another one."""
        volume = body["metadata"]["name"]
        try:
            await self._context.client.create(PERSISTENT_VOLUMES, body)
        except AlreadyExists:
            existing = await self._context.client.get(PERSISTENT_VOLUMES, volume)
            if (existing["spec"].get("claimRef") or {}).get("uid") != body["spec"]["claimRef"]["uid"]:
                raise
            return not await self._yield_to(volume, existing)
        except (Invalid, BadRequest, Forbidden):
            # The API server rejects the volume: its image is removed, unless an earlier attempt has saved the volume.
            if await self._get_volume(volume) is None:
                await self._remove_image(attempt)
            raise
        return True

    async def _yield_to(self, volume: str, existing: Json) -> bool:
        """Removes the attempt's image, and returns True, if the existing volume certainly has another image."""
        attempt = self._attempts.get(volume)
        if attempt is None or not deletion.has_other_image(existing, attempt.location):
            return False
        await self._remove_image(attempt)
        if not is_sutler_volume(existing):
            message = _conflict_message(existing, attempt.location)
            self._events.warning(_claim_reference(attempt.request), "ProvisioningFailed", message)
        return True

    def _report_failure(self, claim: Json, cls: VolumeClass, error: CephError | KubeError, details: str) -> None:
        metrics.PROVISION_FAILED.labels(cls.name, SOURCE).inc()
        if isinstance(error, CephError | BadRequest | Invalid | Forbidden):
            later = "; Sutler retries until the outcome is known" if isinstance(error, OutcomeUnknown) else ""
            self._events.warning(claim, "ProvisioningFailed", f"{error}{later}" + (f"; {details}" if details else ""))

    async def clean_up(self, volume: str) -> None:
        """Removes the image of an attempt whose claim is deleted, unless its volume was saved: then that is deleted."""
        attempt = self._attempts.get(volume)
        existing = await self._get_volume(volume) if attempt is not None else None
        if existing is not None:
            await self._yield_to(volume, existing)
        elif attempt is not None:
            await self._remove_image(attempt)
        self._drop_attempt(volume)

    def reset(self) -> None:
        """Drops all attempts at the end of the leadership: the next leader finds unfinished work by the claims."""
        self._attempts.clear()
        metrics.IN_FLIGHT.set(0)

    async def _remove_image(self, attempt: ProvisionAttempt) -> None:
        image, kubernetes = attempt.location.image, self._context.kubernetes
        pool = self._context.pool(attempt.location)
        # The query has the id: an image that was adopted for the claim meanwhile names the same owner.
        query = ImageQuery(image, attempt.request.uid, kubernetes, image_id(kubernetes, image))
        try:
            if attempt.request.source is not None:
                await pool.discard_clone(image, attempt.request.uid, kubernetes, fence=self._context.fence)
            await pool.remove(query, fence=self._context.fence)
            if attempt.journal:
                await pool.remove_journal_entry(journal_entry(attempt.request), fence=self._context.fence)
        except PoolMissing:
            pass
        except ImageTaken as error:
            # The image has another owner, which is why the attempt failed: another try would change nothing.
            _log.warning("image of a failed attempt is not removed", claim=attempt.request.key, error=str(error))

    async def _is_needed(self, request: claims.ClaimRequest) -> bool:
        claim = await self._context.get_or_none(PERSISTENT_VOLUME_CLAIMS, request.name, request.namespace)
        if claim is None:
            return False
        metadata, volume = claim["metadata"], claim["spec"].get("volumeName")
        is_same = metadata["uid"] == request.uid and "deletionTimestamp" not in metadata
        return is_same and volume in {None, "", volume_name(request.uid)}

    async def _get_volume(self, volume: str) -> Json | None:
        return await self._context.get_or_none(PERSISTENT_VOLUMES, volume)

    def _record_attempt(self, volume: str, attempt: ProvisionAttempt) -> None:
        self._attempts[volume] = attempt
        metrics.IN_FLIGHT.set(len(self._attempts))

    def _record_saved(self, volume: str) -> None:
        self._saved.add(volume)
        self._drop_attempt(volume)

    def _drop_attempt(self, volume: str) -> None:
        self._attempts.pop(volume, None)
        metrics.IN_FLIGHT.set(len(self._attempts))


def _image_name(cls: VolumeClass, request: claims.ClaimRequest) -> str:
    return image_name(cls.template, namespace=request.namespace, claim=request.name, uid=request.uid)


def _claim_reference(request: claims.ClaimRequest) -> Json:
    """Returns as much of the claim as an event needs to refer to it."""
    resource = PERSISTENT_VOLUME_CLAIMS
    metadata = {"namespace": request.namespace, "name": request.name, "uid": request.uid}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _conflict_message(volume: Json, location: ImageLocation) -> str:
    metadata = volume["metadata"]
    other = (metadata.get("annotations") or {}).get(well_known.PROVISIONED_BY, "")
    return (
        f"another provisioner{f' ({other})' if other else ''} has created volume {metadata['name']} for this claim. "
        f"Sutler removes RBD image {location.path} again: let only one of the two serve StorageClass "
        f"{volume['spec'].get('storageClassName', '')}"
    )
