"""Finds what is cloned for a claim with a data source, and protects it from being deleted meanwhile."""

from collections.abc import Collection
from dataclasses import dataclass

from provisioner.ceph.clones import CloneOrigin
from provisioner.volumes.image_locator import locate_image
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning import data_source
from provisioner.volumes.planning.claims import ClaimRequest
from provisioner.volumes.planning.data_source import DataSource, SourceObstacle
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler.kube.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUME_SNAPSHOTS,
    Resource,
)
from sutler.typedefs import Json
from sutler.volumes import snapshot_keys
from sutler.volumes.locations import ids_of, location_of, owner_of
from sutler.volumes.served_classes import FILESYSTEMS


@dataclass(frozen=True, slots=True)
class FoundSource:
    origin: CloneOrigin
    filesystem: str
    """The filesystem of the source; empty: unknown, or none."""


class SourceFinder:
    def __init__(self, context: LeaderContext, drivers: Collection[str]) -> None:
        """`drivers`: the names of the drivers whose snapshots Sutler serves."""
        self._context = context
        self._drivers = drivers

    async def find(self, request: ClaimRequest, source: DataSource, cls: VolumeClass) -> FoundSource:
        """Returns what to clone for the claim. Raises SourceObstacle."""
        if source.kind == data_source.SNAPSHOT:
            found = await self._find_snapshot(request, source, cls)
        else:
            found = await self._find_claim(request, source, cls)
        if request.volume_mode == "Filesystem" and (
            problem := data_source.filesystem_problem(source, found.filesystem)
        ):
            raise SourceObstacle(problem)
        return found if found.filesystem in FILESYSTEMS else FoundSource(found.origin, "")

    async def _find_snapshot(self, request: ClaimRequest, source: DataSource, cls: VolumeClass) -> FoundSource:
        snapshot = await self._context.get_or_none(VOLUME_SNAPSHOTS, source.name, source.namespace)
        if snapshot is None:
            raise SourceObstacle(f"{source} does not exist in namespace {source.namespace}", temporary=True)
        name = data_source.require_ready_snapshot(source, snapshot)
        content = await self._context.get_or_none(VOLUME_SNAPSHOT_CONTENTS, name)
        if content is None:
            raise SourceObstacle(f"{source}: its VolumeSnapshotContent {name} does not exist")
        found = data_source.snapshot_source(
            source, snapshot, content, self._drivers, volume_mode=request.volume_mode, size=request.size
        )
        image = found.handle.image
        await self._require_cluster(source, image.cluster, cls.cluster)
        await self._protect(VOLUME_SNAPSHOTS, snapshot, snapshot_keys.SNAPSHOT_IN_USE)
        return FoundSource(
            CloneOrigin(image.pool, image.namespace, image.image, found.handle.snapshot), found.filesystem
        )

    async def _find_claim(self, request: ClaimRequest, source: DataSource, cls: VolumeClass) -> FoundSource:
        claim = await self._context.get_or_none(PERSISTENT_VOLUME_CLAIMS, source.name, source.namespace)
        if claim is None:
            raise SourceObstacle(f"{source} does not exist in namespace {source.namespace}", temporary=True)
        name = claim["spec"].get("volumeName")
        volume = await self._context.get_or_none(PERSISTENT_VOLUMES, name) if name else None
        filesystem = data_source.require_cloneable(
            source, claim, volume, volume_mode=request.volume_mode, size=request.size
        )
        location = location_of(volume) if volume is not None else None
        if volume is None or location is None:
            raise SourceObstacle(f"{source}: its volume {name} names no image")
        await self._require_cluster(source, location.cluster, cls.cluster)
        await self._protect(PERSISTENT_VOLUME_CLAIMS, claim, snapshot_keys.CLAIM_IN_USE)
        located = await locate_image(self._context, VolumeRequest(location, owner_of(volume), *ids_of(volume)))
        if located is None:
            raise SourceObstacle(f"{source}: image {location.path} of its volume does not exist")
        pool, image = located
        return FoundSource(CloneOrigin(await pool.number(), location.namespace, image.id), filesystem)

    async def _require_cluster(self, source: DataSource, cluster: str, wanted: str) -> None:
        if cluster == wanted:
            return
        clusters = self._context.clusters
        if await clusters.get(cluster).fsid() != await clusters.get(wanted).fsid():
            raise SourceObstacle(
                f"{source} is in Ceph cluster {cluster or '(default)'}, and the class's images are in "
                f"{wanted or '(default)'}: use a class of the same cluster"
            )

    async def _protect(self, resource: Resource, obj: Json, finalizer: str) -> None:
        """Adds the finalizer, so that the object exists until the claim is bound; see SourceProtector.

        Raises Conflict if the object has changed since it was read, as by its deletion.
        """
        metadata = obj["metadata"]
        finalizers = metadata.get("finalizers") or []
        if finalizer in finalizers:
            return
        change = {"resourceVersion": metadata["resourceVersion"], "finalizers": [*finalizers, finalizer]}
        await self._context.client.merge_patch(resource, metadata["name"], {"metadata": change}, metadata["namespace"])
