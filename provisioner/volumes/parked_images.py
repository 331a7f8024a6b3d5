"""Removes parked images after their last dependant; see sutler.volumes.parking.

It is tried when a snapshot or a clone of the image was deleted, and at each scan of the pool.
"""

from collections.abc import Callable

from provisioner.ceph.errors import ImageTaken, InUse, PoolMissing
from provisioner.ceph.image_header import CloneParent
from provisioner.ceph.parking import ParkedDependents
from provisioner.ceph.pool import RbdPool
from provisioner.volumes.leader_context import LeaderContext
from sutler import log
from sutler.kube.resources import PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes.locations import ImageLocation, ids_of, uses_image
from sutler.volumes.snapshot_handle import ImageHandle

_log = log.get(__name__)


class ParkedImages:
    def __init__(self, context: LeaderContext, *, purge: Callable[[ImageLocation, str], None]) -> None:
        """`purge`: schedules the removal of an image from the trash, by its location and id."""
        self._context = context
        self._purge = purge

    async def release(self, image: ImageHandle) -> None:
        """Removes the image if it is parked and nothing needs it any more, then its ancestors likewise.

        Raises CephError if that can't be decided now.
        """
        current: ImageHandle | None = image
        while current is not None:
            parent = await self._release(current)
            current = parent_handle(current, parent) if parent is not None else None

    async def _release(self, image: ImageHandle) -> CloneParent | None:
        """Returns the parent of the image, if this has removed the image."""
        try:
            pool = await self._context.clusters.get(image.cluster).get_pool_by_number(image.pool, image.namespace)
            found = await pool.find_parked(image.image)
        except PoolMissing:
            return None  # deleted with its images
        if found is None or not found.is_free or await self._is_used(image, pool, found):
            return None
        location = ImageLocation(image.cluster, pool.name, image.namespace, found.name)
        try:
            trash_id = await pool.remove_parked(
                found.name, image.image, self._context.kubernetes, fence=self._context.fence
            )
        except (ImageTaken, InUse) as error:
            _log.warning("parked image is kept", image=found.name, pool=pool.name, error=str(error))
            return None
        if trash_id is not None:
            self._purge(location, trash_id)
        _log.info("removed a parked image after its last dependant", image=found.name, pool=pool.name)
        return found.parent

    async def _is_used(self, image: ImageHandle, pool: RbdPool, found: ParkedDependents) -> bool:
        """Whether any volume uses the image, also one that was created manually since the image was parked."""
        location = ImageLocation(image.cluster, pool.name, image.namespace, found.name)

        def uses(volume: Json) -> bool:
            return uses_image(volume, location) or ids_of(volume) == (image.pool, image.image)

        volumes, _ = await self._context.client.list_transformed(PERSISTENT_VOLUMES, transform=uses, query=[])
        return any(volumes)


def parent_handle(image: ImageHandle, parent: CloneParent) -> ImageHandle:
    """Returns the handle of a clone's parent, which is in the same Ceph cluster."""
    return ImageHandle(image.cluster, parent.pool, parent.namespace, parent.image)
