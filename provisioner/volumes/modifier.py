"""Changes the attributes of bound claims' volumes: the limits in the image, then the volume, then the claim's status.

The claim's status names the target before anything is changed. So each step can be interrupted, and is then repeated.
"""

from provisioner.ceph.errors import CephError, ImageMissing
from provisioner.volumes import metrics
from provisioner.volumes.image_locator import locate_image
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning import modification
from provisioner.volumes.planning.attributes_class import (
    AttributesClassError,
    AttributesClassMissing,
    VolumeAttributes,
    parse_attributes_class,
)
from provisioner.volumes.planning.modification import CancelModification, KeepAttributes, ModifyVolume
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from provisioner.volumes.refuser import ClaimRefuser
from sutler import well_known
from sutler.kube.errors import NotFound
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.kube.times import now_in_seconds
from sutler.typedefs import Json
from sutler.volumes.limits import limits_metadata
from sutler.volumes.locations import ids_of, location_of, owner_of

MISSING_SECONDS = 15.0
"""Seconds after which a VolumeAttributesClass is read again that does not exist."""
INFEASIBLE_SECONDS = 60.0
"""Seconds after which one is read again that Sutler can't apply: it may have been replaced."""


class VolumeModifier:
    def __init__(self, context: LeaderContext, refuser: ClaimRefuser) -> None:
        self._context = context
        self._client = context.client
        self._events = context.events
        self._refuser = refuser

    async def modify(self, key: str, volume_name: str) -> float | None:
        """Gives the volume of the claim `key` (namespace/name) the attributes that the claim requests.

        Returns the seconds after which to try again, if that is needed.
        """
        namespace, name = key.split("/", 1)
        try:
            claim = await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
            volume = await self._client.get(PERSISTENT_VOLUMES, volume_name)
        except NotFound:
            return None
        match modification.decide(claim, volume):
            case KeepAttributes():
                return None
            case CancelModification():
                await self._update_status(claim, modification.canceled_status(claim))
                self._events.normal(claim, "VolumeModifyCanceled", "The claim requests no attributes any more")
                return None
            case ModifyVolume(target):
                return await self._apply(claim, volume, target)

    async def _apply(self, claim: Json, volume: Json, target: str) -> float | None:
        try:
            attributes = parse_attributes_class(target, await self._context.get_attributes_class(target))
        except AttributesClassMissing as error:
            await self._report(claim, modification.pending_status(target), str(error))
            return MISSING_SECONDS
        except AttributesClassError as error:
            await self._report(
                claim, modification.infeasible_status(claim, target, str(error), now_in_seconds()), str(error)
            )
            return INFEASIBLE_SECONDS
        if problem := modification.unservable(volume):
            await self._report(claim, modification.infeasible_status(claim, target, problem, now_in_seconds()), problem)
            return INFEASIBLE_SECONDS
        await self._modify(claim, volume, attributes)
        return None

    async def _modify(self, claim: Json, volume: Json, attributes: VolumeAttributes) -> None:
        target, cls = attributes.name, volume["spec"].get("storageClassName", "")
        if not modification.is_in_progress(claim, target):
            claim = await self._update_status(claim, modification.in_progress_status(claim, target, now_in_seconds()))
            self._events.normal(claim, "VolumeModify", f"Applying VolumeAttributesClass {target}")
        try:
            await self._set_limits(volume, attributes)
        except CephError as error:
            metrics.MODIFY_FAILED.labels(cls).inc()
            failed = modification.failed_status(claim, target, type(error).__name__, str(error), now_in_seconds())
            await self._report(claim, failed, str(error))
            raise
        patch = modification.volume_patch(volume, attributes)
        await self._client.merge_patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], patch)
        await self._update_status(claim, modification.modified_status(claim, target))
        metrics.MODIFIED.labels(cls).inc()
        limits = patch["metadata"]["annotations"][well_known.LIMITS] or "none"
        self._events.normal(
            claim,
            "VolumeModifySuccessful",
            f"Applied VolumeAttributesClass {target}: the image's limits are {limits}. Pods that start from now on get "
            f"them{modification.node_hint(volume)}",
        )

    async def _set_limits(self, volume: Json, attributes: VolumeAttributes) -> None:
        """Sets the limits of the volume's own image, and of no other one that has its name now."""
        location = location_of(volume)
        if location is None:
            raise ImageMissing(f"the volume lacks annotation {well_known.IMAGE} (pool/image): restore it")
        located = await locate_image(self._context, VolumeRequest(location, owner_of(volume), *ids_of(volume)))
        if located is None:
            raise ImageMissing(f"image {location.path} does not exist any more: see sutler volumes orphans")
        pool, found = located
        limits = modification.volume_limits_after(volume, attributes)
        await pool.set_limits(found.id, limits_metadata(limits), fence=self._context.fence)

    async def _report(self, claim: Json, patch: Json, message: str) -> None:
        if not modification.is_reported(claim, patch):
            await self._update_status(claim, patch)
        self._refuser.emit(claim, "VolumeModifyFailed", message)

    async def _update_status(self, claim: Json, patch: Json) -> Json:
        metadata = claim["metadata"]
        # The API server rejects the patch if the claim has changed since it was read.
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, **patch}
        return await self._client.merge_patch(
            PERSISTENT_VOLUME_CLAIMS, metadata["name"], body, metadata["namespace"], subresource="status"
        )
