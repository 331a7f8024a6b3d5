"""From a claim that asks for more to a larger image. The kubelet grows the filesystem."""

from collections.abc import Callable
from datetime import UTC, datetime

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.errors import CephError, ImageMissing
from provisioner.volumes import metrics
from provisioner.volumes.image_locator import pool_of
from provisioner.volumes.planning import expansion
from provisioner.volumes.planning.persistent_volume import VolumeRequest, ids_of, owner_of
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json


class Resizer:
    def __init__(
        self,
        client: Client,
        clusters: CephClusters,
        events: EventRecorder,
        *,
        kubernetes: str,
        fence: Callable[[], None],
    ) -> None:
        self._client = client
        self._clusters = clusters
        self._events = events
        self._kubernetes = kubernetes
        self._fence = fence

    async def expand(self, key: str, volume_name: str) -> None:
        """Grows the image of the claim `key` (namespace/name), if it asks for more than it has."""
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
            self._events.normal(claim, "Resizing", f"Growing RBD image {grow.place.path} to {grow.size} bytes")
            if not grow.in_tree:
                claim = await self._status(claim, expansion.resizing(claim, _now()))
            try:
                await self._resize(volume, grow)
            except CephError as error:
                metrics.RESIZE_FAILED.labels(cls).inc()
                self._events.warning(claim, "VolumeResizeFailed", str(error))
                raise
            capacity = {"metadata": _unchanged(volume), "spec": {"capacity": {"storage": grow.capacity}}}
            await self._client.merge_patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], capacity)
        if grow.in_tree:
            metrics.RESIZED.labels(cls).inc()
            return
        claim = await self._status(claim, expansion.resized(claim, grow, _now()))
        metrics.RESIZED.labels(cls).inc()
        if grow.block:
            self._events.normal(claim, "VolumeResizeSuccessful", f"The volume has {grow.capacity} now")
        else:
            self._events.normal(claim, "FileSystemResizeRequired", "The image has grown; the node grows the filesystem")

    async def _resize(self, volume: Json, grow: expansion.GrowVolume) -> None:
        """The volume's own image, and no other one that has come by its name."""
        wanted = VolumeRequest(grow.place, owner_of(volume), *ids_of(volume))
        pool = await pool_of(self._clusters, wanted, self._kubernetes)
        found = await pool.find(wanted.sought(self._kubernetes)) if pool is not None else None
        if pool is None or found is None:
            raise ImageMissing(f"image {grow.place.path} does not exist any more: see sutler volumes orphans")
        await pool.resize(found.name, grow.size, fence=self._fence)

    async def _status(self, claim: Json, patch: Json) -> Json:
        metadata = claim["metadata"]
        body = {"metadata": _unchanged(claim), **patch}
        return await self._client.merge_patch(
            PERSISTENT_VOLUME_CLAIMS, metadata["name"], body, metadata["namespace"], subresource="status"
        )


def _unchanged(obj: Json) -> Json:
    """In a patch: it is refused if somebody else has changed the object since."""
    return {"resourceVersion": obj["metadata"]["resourceVersion"]}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
