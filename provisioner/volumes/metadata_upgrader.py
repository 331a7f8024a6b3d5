"""Records the ids of images in volumes and images that lack them, if the id is proven.

Version 0.1.0 recorded no ids, and a migration gives an image another one. If a volume was bound to a claim of another
name, its image gets the name of that claim, so that the CLI and the REST API show the present claim.
"""

import contextlib
import time
from collections.abc import Iterable, Mapping

from provisioner.ceph.errors import CephError, ImageMissing, ImageTaken, InUse
from provisioner.ceph.model import ListedImage, RbdImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes.cache_entries import CachedVolume
from provisioner.volumes.leader_context import LeaderContext
from sutler import log, well_known
from sutler.kube.errors import NotFound
from sutler.kube.events import EventDeduplicator
from sutler.kube.resources import PERSISTENT_VOLUMES
from sutler.volumes.identity import id_metadata, image_id

_log = log.get(__name__)

MOST_PER_SCAN = 500
"""Volumes that one scan upgrades: ten thousand must not delay everything else."""


class ImageIndex:
    """The images of a pool by id and by name."""

    def __init__(self, images: Iterable[ListedImage]) -> None:
        self.by_id = {image.id: image for image in images}
        self.by_name = {image.name: image for image in self.by_id.values()}

    def find(self, volume: CachedVolume, kubernetes: str) -> ListedImage | None:
        """Returns the image that is probably the volume's: by id, else by name."""
        if volume.location is None:
            return None
        likely = volume.image_id or image_id(kubernetes, volume.location.image)
        return self.by_id.get(likely) or self.by_name.get(volume.location.image)


class MetadataUpgrader:
    def __init__(self, context: LeaderContext) -> None:
        self._context = context
        self._kubernetes = context.kubernetes
        self._emitted = EventDeduplicator()

    async def upgrade(self, pool: RbdPool, found: Mapping[str, tuple[CachedVolume, ListedImage]]) -> None:
        """Upgrades volumes of one pool; `found`: by the volume's name, its image, which is probably the right one."""
        number = await pool.number()
        due = {
            name: (volume, image)
            for name, (volume, image) in found.items()
            if (volume.pool_id, volume.image_id) != (number, image.id) or volume.rebound_claim
        }
        claimants: dict[str, list[tuple[str, bool | None]]] | None = None
        for name, (volume, image) in list(due.items())[:MOST_PER_SCAN]:
            try:
                if (volume.pool_id, volume.image_id) == (number, image.id):
                    await self._update_claim(pool, volume, image)
                    continue
                if volume.image_id:
                    image = await self._successor(pool, volume, image)  # noqa: PLW2901 - the same image, proven
                elif image.id != image_id(self._kubernetes, volume.location.image if volume.location else ""):
                    claimants = claimants or await pool.list_claimants(self._kubernetes)
                    _require_only_claimant(claimants.get(volume.owner, []), pool, image)
                await self._claim_ownership(pool, volume, image)
                await self._save(name, id_metadata(number, image.id))
                _log.info("recorded the image's id", volume=name, image=image.name, pool=pool.name)
            except ImageMissing:
                continue  # being deleted, or incomplete
            except (ImageTaken, InUse) as error:
                await self.report_unclear(name, str(error))
            except CephError as error:
                _log.warning("could not upgrade volume", volume=name, error=str(error))

    async def _successor(self, pool: RbdPool, volume: CachedVolume, image: ListedImage) -> ListedImage:
        """Returns the image with which a migration, or an administrator, has replaced the volume's image."""
        found = await pool.find(volume.request.query(self._kubernetes))
        if found is None:
            raise ImageMissing(f"image {pool.name}/{image.name} is in the trash")
        return ListedImage(found.name, found.id)

    async def _update_claim(self, pool: RbdPool, volume: CachedVolume, image: ListedImage) -> None:
        metadata = await pool.get_metadata(image.id)
        claim = metadata.get(well_known.METADATA_NAMESPACE), metadata.get(well_known.METADATA_CLAIM)
        if volume.rebound_claim != claim:
            await self._claim_ownership(pool, volume, image)

    async def _claim_ownership(self, pool: RbdPool, volume: CachedVolume, image: ListedImage) -> None:
        def require_owner(found: RbdImage) -> None:
            owner = (found.metadata.get(well_known.OWNER), found.metadata.get(well_known.KUBERNETES))
            if found.id != image.id or owner != (volume.owner, self._kubernetes):
                raise ImageTaken(f"image {pool.name}/{image.name} is not this volume's: its metadata has "
                                 f"{well_known.OWNER}={owner[0]} and {well_known.KUBERNETES}={owner[1]}")  # fmt: skip

        keys = (well_known.METADATA_NAMESPACE, well_known.METADATA_CLAIM)
        claim = dict(zip(keys, volume.rebound_claim or (), strict=False))
        await pool.claim_ownership(image.name, require_owner, claim, fence=self._context.fence)

    async def _save(self, name: str, annotations: Mapping[str, str]) -> None:
        with contextlib.suppress(NotFound):
            await self._context.client.merge_patch(PERSISTENT_VOLUMES, name, {"metadata": {"annotations": annotations}})

    async def report_unclear(self, name: str, message: str) -> None:
        """Emits an event on the volume: which image is the volume's can't be decided."""
        if not self._emitted.should_emit(name, message, time.monotonic()):
            return
        _log.warning("volume's image is unclear", volume=name, error=message)
        with contextlib.suppress(NotFound):
            volume = await self._context.client.get(PERSISTENT_VOLUMES, name)
            self._context.events.warning(volume, "ImageUnclear", message)


def _require_only_claimant(claimants: list[tuple[str, bool | None]], pool: RbdPool, image: ListedImage) -> None:
    others = sorted(name for name, own_ids in claimants if name != image.name and own_ids is not False)
    if others:
        raise ImageTaken(
            f"nothing proves whether image {pool.name}/{image.name} or {others[0]} is this volume's, since both name "
            f"the same owner: remove the metadata {well_known.OWNER} of the copy (rbd image-meta remove)"
        )
