"""Adopts existing images as volumes of claims. Each step can be interrupted, and is then repeated.

1. The image's metadata names the claim as its owner, and the request: the adoption is not complete.
2. A PersistentVolume is created for the claim. It keeps its image (Retain) if the claim is deleted now.
3. When Kubernetes has bound the two, the volume gets the class's reclaim policy, the image loses the name of the
   request, and the request is deleted.

Nothing deletes an image whose adoption is not complete: no volume does, and scans skip images that name a request.
"""

import asyncio
import contextlib
from collections.abc import Callable

from provisioner.ceph.errors import CephError, CephUnavailable, InUse, NoSpace, OutcomeUnknown
from provisioner.ceph.model import MovedToTrash, RbdImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes.adoption_reporter import AdoptionReporter
from provisioner.volumes.attributes import with_attributes
from provisioner.volumes.cache_entries import CachedClass
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.metrics import ADOPTIONS
from provisioner.volumes.ownership_checker import OwnershipChecker
from provisioner.volumes.planning import adoption
from provisioner.volumes.planning.adoption import AdoptionObstacle
from provisioner.volumes.planning.attributes_class import AttributesClassError, AttributesClassMissing
from provisioner.volumes.planning.persistent_volume import CephSource, image_metadata, render
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler import well_known
from sutler.kube.errors import AlreadyExists, BadRequest, Forbidden, Invalid
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes.adoption_request import AdoptionRequest, AdoptionState, RequestError, parse_request
from sutler.volumes.locations import ImageLocation, location_of
from sutler.volumes.volume_name import volume_name

STEP_SECONDS = 1.0
"""Seconds until the next step of an adoption."""
RETRY_SECONDS = 5.0
"""Seconds until the next attempt when a temporary obstacle blocks an adoption."""


class Adopter:
    def __init__(
        self,
        context: LeaderContext,
        *,
        get_class: Callable[[str], CachedClass | None],
        is_pending: Callable[[str], bool],
    ) -> None:
        """The context and two look-ups.

        Args:
            context: of this leadership.
            get_class: returns a StorageClass by name.
            is_pending: whether the volume of this name is being provisioned.
        """
        self._context = context
        self._client = context.client
        self._get_class = get_class
        self._is_pending = is_pending
        self._reporter = AdoptionReporter(context)
        self._ownership = OwnershipChecker(context, is_pending)
        # Of two requests for one image, only one may find that it has no owner.
        self._lock = asyncio.Lock()

    async def adopt(self, name: str) -> float | None:
        """Does the next step for the request of this name. Returns the seconds after which to try again."""
        request = await self._get_volume(name)
        if request is None or "deletionTimestamp" in request["metadata"]:
            return None
        if self._lock.locked():
            return STEP_SECONDS
        async with self._lock:
            try:
                return await self._adopt(request)
            except (AdoptionObstacle, RequestError, CephError, Invalid, BadRequest, Forbidden) as error:
                temporary = isinstance(error, InUse | NoSpace | OutcomeUnknown | CephUnavailable) or (
                    isinstance(error, AdoptionObstacle) and error.temporary
                )
                state = AdoptionState.WAITING if temporary else AdoptionState.REFUSED
                await self._reporter.report(request, state, str(error))
                await self._reporter.report_on_claim(request, str(error))
                if isinstance(error, OutcomeUnknown | CephUnavailable):
                    raise
                return RETRY_SECONDS if temporary else None

    async def _adopt(self, request: Json) -> float | None:
        name, wanted = request["metadata"]["name"], parse_request(request)
        cls = adoption.class_for_adoption(self._class(wanted.storage_class), wanted)
        location = wanted.location(cls.cluster)
        if location is None:
            return await self._choose_from_trash(request, wanted, cls)
        adoption.require_namespace(location, cls)
        claim = await self._get_claim(wanted.namespace, wanted.claim)
        volume = await self._get_volume(volume_name(claim["metadata"]["uid"])) if claim else None
        if claim is not None and volume is not None and location_of(volume) == location:
            return await self._complete(request, claim, volume, cls)
        pool = self._context.pool(location)
        number, identifier = await pool.number(), wanted.restore_id or (await pool.describe(location.image)).id
        await self._ownership.require_no_other_volume(
            name, wanted, location, (number, identifier), csi=cls.volume_source == "csi"
        )
        if wanted.restore_id and claim is not None:
            size = await pool.get_size(identifier)
            adoption.claim_request(claim, cls, size, location.path)
        await self._restore(name, wanted, location, pool)
        image = await pool.describe(location.image)
        if wanted.restore_id not in {"", image.id}:
            raise AdoptionObstacle(
                f"{location.path} is another image than {wanted.restore_id} in the trash: rename it first"
            )
        adoption.require_unused(image, location.path, self._context.kubernetes, image.metadata.get(well_known.OWNER))
        await self._ownership.require_no_other_owner(image, location, claim)
        if claim is None:
            text = f"{location.path} can be adopted once claim {wanted.key} exists, with {image.size} bytes or less"
            await self._reporter.report(request, AdoptionState.CHECKED, text, image.size)
            return None
        return await self._create(request, claim, image, cls, location)

    def _class(self, name: str) -> VolumeClass:
        cached = self._get_class(name)
        if cached is None or cached.parsed is None:
            problem = f"StorageClass {name} does not exist" if cached is None else cached.problem
            raise AdoptionObstacle(problem or f"StorageClass {name} is not Sutler's: name one that is")
        return cached.parsed

    async def _create(
        self, request: Json, claim: Json, image: RbdImage, cls: VolumeClass, location: ImageLocation
    ) -> float:
        """Marks the image as the claim's, and creates the volume."""
        name, context = request["metadata"]["name"], self._context
        wanted = adoption.claim_request(claim, cls, image.size, location.path)
        try:
            wanted = await with_attributes(context, wanted)
        except AttributesClassError as error:
            temporary = isinstance(error, AttributesClassMissing)
            raise AdoptionObstacle(f"claim {wanted.key}: {error}", temporary=temporary) from error
        volume = volume_name(wanted.uid)
        if self._is_pending(volume):
            raise AdoptionObstacle(f"Sutler is creating a new image for claim {wanted.key}", temporary=True)
        cluster, pool = context.clusters.get(location.cluster), context.pool(location)
        monitors = await cluster.monitors() if cls.volume_source == "rbd" else ()
        ceph = CephSource(location.cluster or await cluster.fsid(), await pool.number(), image.id, monitors)
        body = render(wanted, adoption.with_features(cls, image), location, ceph)
        # Until the volume is bound, it must keep its image in all cases.
        body["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
        body["metadata"]["annotations"][well_known.ADOPTING] = name
        owner = image.metadata.get(well_known.OWNER)

        def require_unchanged(found: RbdImage) -> None:
            adoption.require_unused(found, location.path, context.kubernetes, owner)
            if (found.id, found.size) != (image.id, image.size):
                raise AdoptionObstacle(f"{location.path} has changed meanwhile", temporary=True)

        metadata = image_metadata(wanted, cls, context.kubernetes) | {well_known.ADOPTING: name}
        await pool.claim_ownership(location.image, require_unchanged, metadata, fence=context.fence)
        try:
            await self._client.create(PERSISTENT_VOLUMES, body)
        except AlreadyExists:
            existing = await self._get_volume(volume)
            if existing is not None and location_of(existing) != location:
                raise AdoptionObstacle(
                    f"claim {wanted.key} has got volume {volume} meanwhile: delete the claim"
                ) from None
        text = f"Sutler has created volume {volume} for claim {wanted.key}"
        await self._reporter.report(request, AdoptionState.BINDING, text, image.size)
        return STEP_SECONDS

    async def _complete(self, request: Json, claim: Json, volume: Json, cls: VolumeClass) -> float | None:
        name, location = volume["metadata"]["name"], location_of(volume)
        key = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
        if "deletionTimestamp" in volume["metadata"]:
            raise AdoptionObstacle(f"volume {name} is being deleted", temporary=True)
        if "deletionTimestamp" in claim["metadata"] or claim["spec"].get("volumeName") not in {None, "", name}:
            await self._delete_incomplete(request, volume["metadata"])
            raise AdoptionObstacle(f"claim {key} is being deleted, or has another volume", temporary=True)
        if (claim.get("status") or {}).get("phase") != "Bound":
            return STEP_SECONDS
        if well_known.ADOPTING in (volume["metadata"].get("annotations") or {}):
            change = {
                "metadata": {
                    "resourceVersion": volume["metadata"]["resourceVersion"],
                    "annotations": {well_known.ADOPTING: None},
                },
                "spec": {"persistentVolumeReclaimPolicy": cls.reclaim_policy},
            }
            await self._client.merge_patch(PERSISTENT_VOLUMES, name, change)
        if location is not None:
            pool = self._context.pool(location)
            image = await pool.describe(location.image)
            await pool.remove_metadata_key(location.image, image.id, well_known.ADOPTING, fence=self._context.fence)
            text = f"Adopted RBD image {location.path} as volume {name}"
            self._context.events.normal(claim, "ProvisioningSucceeded", text)
        await self._context.delete_volume(request["metadata"])
        ADOPTIONS.labels("done").inc()
        return None

    async def _delete_incomplete(self, request: Json, volume: Json) -> None:
        """Deletes the volume if this very request has created it and it is not complete; its image is kept."""
        if (volume.get("annotations") or {}).get(well_known.ADOPTING) == request["metadata"]["name"]:
            await self._context.delete_volume(volume)

    async def _choose_from_trash(self, request: Json, wanted: AdoptionRequest, cls: VolumeClass) -> float:
        """Finds the image in the trash, and records on the request which one it is before anything else is done."""
        pool_name, _, namespace = wanted.restore_from.partition("/")
        pool = self._context.clusters.get(cls.cluster).pool(pool_name, namespace)
        entries = sorted(await pool.list_trash(), key=lambda entry: entry.deleted, reverse=True)
        for entry in entries:
            if wanted.restore_id == entry.id or (not wanted.restore_id and await self._was_of(pool, entry, wanted)):
                image = f"{wanted.restore_from}/{entry.name}"
                found = {well_known.ADOPT: image, well_known.RESTORE_ID: entry.id}
                await self._client.merge_patch(
                    PERSISTENT_VOLUMES, request["metadata"]["name"], {"metadata": {"annotations": found}}
                )
                return STEP_SECONDS
        what = f"id {wanted.restore_id}" if wanted.restore_id else f"image of claim {wanted.key}"
        raise AdoptionObstacle(
            f"the trash of {wanted.restore_from} has no {what}: list it with "
            f"sutler images trash list {wanted.restore_from}, or rbd trash ls {wanted.restore_from}"
        )

    async def _was_of(self, pool: RbdPool, entry: MovedToTrash, wanted: AdoptionRequest) -> bool:
        """Whether the image in the trash was the claim's."""
        found = {}
        with contextlib.suppress(CephError):
            found = await pool.get_metadata(entry.id)
        claim = (found.get(well_known.METADATA_NAMESPACE), found.get(well_known.METADATA_CLAIM))
        return found.get(well_known.KUBERNETES) == self._context.kubernetes and claim == (
            wanted.namespace,
            wanted.claim,
        )

    async def _restore(self, name: str, wanted: AdoptionRequest, location: ImageLocation, pool: RbdPool) -> None:
        """Restores the image from the trash, if it is there: an earlier attempt may have restored it."""
        if not wanted.restore_id or not any(entry.id == wanted.restore_id for entry in await pool.list_trash()):
            return
        kubernetes = self._context.kubernetes
        await pool.restore_with_metadata(
            wanted.restore_id,
            location.image,
            lambda found: adoption.require_adoptable(found, wanted.restore_id, location.path, kubernetes),
            {well_known.ADOPTING: name},
            fence=self._context.fence,
        )

    async def _get_volume(self, name: str) -> Json | None:
        return await self._context.get_or_none(PERSISTENT_VOLUMES, name)

    async def _get_claim(self, namespace: str, name: str) -> Json | None:
        return await self._context.get_or_none(PERSISTENT_VOLUME_CLAIMS, name, namespace)
