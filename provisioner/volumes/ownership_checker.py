"""Checks that no other volume or claim has the image that is to be adopted."""

from collections.abc import Callable

from provisioner.ceph.errors import CephError, ImageTaken
from provisioner.ceph.model import RbdImage
from provisioner.volumes.image_locator import locate_image
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning import adoption
from provisioner.volumes.planning.adoption import AdoptionObstacle
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from sutler import well_known
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes.adoption_request import AdoptionRequest
from sutler.volumes.locations import ImageLocation, ids_of, is_sutler_volume, location_of
from sutler.volumes.volume_name import volume_name


class OwnershipChecker:
    def __init__(self, context: LeaderContext, is_pending: Callable[[str], bool]) -> None:
        """`is_pending`: whether the volume of this name is being provisioned."""
        self._context = context
        self._is_pending = is_pending

    async def require_no_other_volume(
        self, name: str, request: AdoptionRequest, location: ImageLocation, ids: tuple[int, str], *, csi: bool
    ) -> None:
        """Raises AdoptionObstacle if another PersistentVolume has the image, or one that could be confused with it.

        Args:
            name: of the request.
            request: its content.
            location: of the image.
            ids: of the image's pool and of the image.
            csi: whether ceph-csi's node plugin would mount the adopted volume.
        """
        found, _ = await self._context.client.list_transformed(
            PERSISTENT_VOLUMES,
            transform=lambda volume: adoption.other_volume(volume, location, csi=csi, ids=ids),
            query=[],
        )
        for other in found:
            if other is None:
                continue
            if other.request == name:
                # It was created for an earlier claim of this name, which was deleted before it was bound.
                await self._context.delete_volume({"name": other.name, "uid": other.uid})
                raise AdoptionObstacle(f"the claim of volume {other.name} is deleted: Sutler retries", temporary=True)
            other_cluster = other.same_image and await self._is_other_cluster(other.cluster, location.cluster)
            adoption.require_no_conflict(other, location.path, request.key, other_cluster=other_cluster)

    async def _is_other_cluster(self, cluster: str | None, own: str) -> bool:
        """Whether a clusterID is known to be another Ceph cluster than `own`."""
        if cluster is None or cluster == own:
            return False
        try:
            fsid = await self._context.clusters.get(cluster).fsid()
        except CephError:
            return False
        return fsid != await self._context.clusters.get(own).fsid()

    async def require_no_other_owner(self, image: RbdImage, location: ImageLocation, claim: Json | None) -> None:
        """Raises AdoptionObstacle if another claim owns the image: its volume may be saved at any moment.

        `claim`: the one that is to get the image, if it exists.
        """
        owner = image.metadata.get(well_known.OWNER)
        if owner is None or (claim is not None and claim["metadata"]["uid"] == owner):
            return
        namespace = image.metadata.get(well_known.METADATA_NAMESPACE)
        name = image.metadata.get(well_known.METADATA_CLAIM)
        await self._require_other_image(image, location, owner)
        other = None
        if namespace and name:
            other = await self._context.get_or_none(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        is_waiting = other is not None and other["metadata"]["uid"] == owner and not other["spec"].get("volumeName")
        if is_waiting or self._is_pending(volume_name(owner)):
            raise AdoptionObstacle(f"Sutler is creating {location.path} for claim {namespace}/{name}", temporary=True)

    async def _require_other_image(self, image: RbdImage, location: ImageLocation, owner: str) -> None:
        """Raises AdoptionObstacle if the owner's volume may have the image, under another name than it records."""
        name = volume_name(owner)
        volume = await self._context.get_or_none(PERSISTENT_VOLUMES, name)
        recorded = location_of(volume) if volume is not None and is_sutler_volume(volume) else None
        if volume is None or recorded is None:
            return
        try:
            located = await locate_image(self._context, VolumeRequest(recorded, owner, *ids_of(volume)))
        except ImageTaken as error:
            raise AdoptionObstacle(f"{location.path} may be the image of PersistentVolume {name}: {error}") from error
        if located is not None and located[1].id == image.id:
            raise AdoptionObstacle(
                f"{location.path} is the image of PersistentVolume {name}, which records it as {recorded.path}: set "
                "the volume's persistentVolumeReclaimPolicy to Retain, then delete its claim and the volume"
            )
