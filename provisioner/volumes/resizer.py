"""Resizes the images of claims that request more. The kubelet resizes the filesystem."""

from provisioner.ceph.errors import CephError, ImageMissing
from provisioner.volumes import metrics
from provisioner.volumes.image_locator import locate_image
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning import expansion
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from sutler.kube.errors import NotFound
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.kube.times import now_in_seconds
from sutler.typedefs import Json
from sutler.volumes.locations import ids_of, owner_of


class Resizer:
    def __init__(self, context: LeaderContext) -> None:
        self._context = context
        self._client = context.client
        self._events = context.events

    async def resize(self, key: str, volume_name: str) -> None:
        """Resizes the image of the claim `key` (namespace/name), if the claim requests more than it has."""
        namespace, name = key.split("/", 1)
        try:
            claim = await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
            volume = await self._client.get(PERSISTENT_VOLUMES, volume_name)
        except NotFound:
            return
        decision = expansion.decide(claim, volume)
        match decision:
            case expansion.KeepSize():
                pass
            case expansion.RefuseExpansion(message):
                self._events.warning(claim, "VolumeResizeFailed", message)
            case expansion.GrowVolume():
                await self._grow(claim, volume, decision)

    async def _grow(self, claim: Json, volume: Json, grow: expansion.GrowVolume) -> None:
        cls = volume["spec"].get("storageClassName", "")
        if not grow.volume_done:
            self._events.normal(claim, "Resizing", f"Resizing RBD image {grow.location.path} to {grow.size} bytes")
            if not grow.in_tree:
                claim = await self._update_status(claim, expansion.resizing_status(claim, now_in_seconds()))
            try:
                await self._resize_image(volume, grow)
            except CephError as error:
                metrics.RESIZE_FAILED.labels(cls).inc()
                self._events.warning(claim, "VolumeResizeFailed", str(error))
                raise
            capacity = {"metadata": _precondition(volume), "spec": {"capacity": {"storage": grow.capacity}}}
            await self._client.merge_patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], capacity)
        if grow.in_tree:
            metrics.RESIZED.labels(cls).inc()
            return
        claim = await self._update_status(claim, expansion.resized_status(claim, grow, now_in_seconds()))
        metrics.RESIZED.labels(cls).inc()
        if grow.block:
            self._events.normal(claim, "VolumeResizeSuccessful", f"The volume now has {grow.capacity}")
        else:
            self._events.normal(
                claim, "FileSystemResizeRequired", "The image has its new size; the node resizes the filesystem"
            )

    async def _resize_image(self, volume: Json, grow: expansion.GrowVolume) -> None:
        """Resizes the volume's own image, and no other one that has its name now."""
        request = VolumeRequest(grow.location, owner_of(volume), *ids_of(volume))
        located = await locate_image(self._context, request)
        if located is None:
            raise ImageMissing(f"image {grow.location.path} does not exist any more: see sutler volumes orphans")
        pool, found = located
        await pool.resize(found.name, grow.size, fence=self._context.fence)

    async def _update_status(self, claim: Json, patch: Json) -> Json:
        metadata = claim["metadata"]
        body = {"metadata": _precondition(claim), **patch}
        return await self._client.merge_patch(
            PERSISTENT_VOLUME_CLAIMS, metadata["name"], body, metadata["namespace"], subresource="status"
        )


def _precondition(obj: Json) -> Json:
    """Returns metadata by which the API server rejects a patch if the object has changed since it was read."""
    return {"resourceVersion": obj["metadata"]["resourceVersion"]}
