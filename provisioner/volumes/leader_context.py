"""What the parts of the volumes controller share while this process leads."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.pool import RbdPool
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import (
    PERSISTENT_VOLUMES,
    VOLUME_ATTRIBUTES_CLASSES,
    VOLUME_ATTRIBUTES_CLASSES_BETA,
    Resource,
)
from sutler.typedefs import Json
from sutler.volumes.locations import ImageLocation, PoolLocation


@dataclass(frozen=True, slots=True)
class LeaderContext:
    client: Client
    """Fenced: its writes fail once the lease is lost."""
    clusters: CephClusters
    events: EventRecorder
    kubernetes: str
    """UID of the kube-system namespace, by which images name this Kubernetes cluster: several may share a pool."""
    fence: Callable[[], None]
    """Raises LeaseLost when this process may not act any more. It is called before each change in Ceph."""

    async def get_or_none(self, resource: Resource, name: str, namespace: str | None = None) -> Json | None:
        """Returns the object; None only if the API server itself says that it does not exist.

        Images are deleted on this answer. A 404 without a reason may come from a proxy: it raises NotFound.
        """
        try:
            return await self.client.get(resource, name, namespace)
        except NotFound as error:
            if not error.reason:
                raise
            return None

    async def get_attributes_class(self, name: str) -> Json | None:
        """Returns the VolumeAttributesClass; None if it does not exist, or the cluster lacks the kind."""
        for resource in (VOLUME_ATTRIBUTES_CLASSES, VOLUME_ATTRIBUTES_CLASSES_BETA):
            with contextlib.suppress(NotFound):
                return await self.client.get(resource, name)
        return None

    async def delete_volume(self, metadata: Json) -> None:
        """Deletes the PersistentVolume of this name and uid, if it still exists."""
        with contextlib.suppress(NotFound):
            await self.client.delete(PERSISTENT_VOLUMES, metadata["name"], uid=metadata["uid"])

    def pool(self, location: ImageLocation | PoolLocation) -> RbdPool:
        return self.clusters.get(location.cluster).pool(location.pool, location.namespace)
