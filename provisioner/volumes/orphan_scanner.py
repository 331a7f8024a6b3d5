"""Compares the images in Ceph with the volumes and claims in Kubernetes, in both directions.

An image becomes an orphan if the provisioner is killed between image and PersistentVolume, and the claim is deleted
before the next attempt. No event ever reports that, so all pools are scanned at intervals.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from provisioner.ceph.errors import CephError, ImageMissing, ImageTaken, InUse, PoolMissing
from provisioner.ceph.model import ListedImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes import metrics
from provisioner.volumes.cache_entries import CachedVolume
from provisioner.volumes.image_locator import locate_image
from provisioner.volumes.incomplete_images import IncompleteImages
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.metadata_upgrader import ImageIndex, MetadataUpgrader
from provisioner.volumes.orphan_images import OrphanImages, OrphanPolicy
from provisioner.volumes.parked_images import ParkedImages
from provisioner.volumes.stale_clones import StaleClones
from provisioner.volumes.trash_purger import TrashPurger
from provisioner.volumes.trash_scanner import TrashScanner
from provisioner.volumes.volume_pools import VolumePools
from sutler import log, well_known
from sutler.errors import SutlerError
from sutler.kube.resources import PERSISTENT_VOLUMES
from sutler.volumes.identity import Relation, relation
from sutler.volumes.locations import PoolLocation
from sutler.volumes.parking import parse_parked
from sutler.volumes.snapshot_handle import ImageHandle

_log = log.get(__name__)


class OrphanScanner:
    def __init__(
        self,
        context: LeaderContext,
        informers: VolumeInformers,
        *,
        is_pending: Callable[[str], bool],
        purger: TrashPurger,
        parked: ParkedImages,
        policy: OrphanPolicy,
    ) -> None:
        """The context, the informers, what removes images, and the policy.

        Args:
            context: of this leadership.
            informers: of claims and volumes.
            is_pending: whether the volume of this name is being provisioned.
            purger: removes images from the trash.
            parked: removes parked images that nothing needs any more.
            policy: what to do with orphans.
        """
        self._context = context
        self._kubernetes = context.kubernetes
        self._interval = policy.interval
        self._pools = VolumePools(context, informers)
        self._upgrader = MetadataUpgrader(context)
        self._trash = TrashScanner(informers, purger, context.kubernetes)
        self._orphans = OrphanImages(context, informers, is_pending=is_pending, policy=policy)
        self._incomplete = IncompleteImages(
            context, informers, is_pending=is_pending, remove=policy.orphans == "trash", grace=policy.grace
        )
        self._parked = parked
        self._parked_counts = metrics.NamespaceSum(metrics.PARKED)
        self._stale_clones = StaleClones(context, informers, parked, is_pending=is_pending)
        self._imageless = metrics.NamespaceSum(metrics.IMAGELESS)
        self._foreign: dict[PoolLocation, set[str]] = {}
        """Ids of images that are not this Kubernetes cluster's: their metadata is not read again."""

    async def run(self) -> None:
        """Works until it is cancelled."""
        try:
            while True:
                await self.scan()
                await asyncio.sleep(self._interval)
        finally:
            # The next leader publishes these metrics.
            self._retain(set())

    async def scan(self) -> None:
        await self._pools.refresh()
        locations = self._pools.locations()
        self._retain(locations)
        for location in sorted(locations):
            try:
                pool = self._context.pool(location)
                await self._scan_pool(location, pool)
                await self._trash.scan(location, pool)
            except PoolMissing as error:
                self._log_failure(location, error)
                expected = self._pools.expected(location)
                deleted = {name: volume for name, volume in expected.items() if self._pools.is_deleted(volume)}
                self._report_imageless(location, await self._without_image(deleted))
            except Exception as error:  # noqa: BLE001 - one broken pool must not stop the others
                # The next scan tries again: nothing waits for this one.
                self._log_failure(location, error)

    def _log_failure(self, location: PoolLocation, error: Exception) -> None:
        context = {"cluster": location.cluster, "pool": location.pool}
        if isinstance(error, SutlerError):
            _log.warning("could not scan pool", error=str(error), **context)
        else:
            _log.error("unhandled error", exc_info=error, **context)

    def _retain(self, locations: set[PoolLocation]) -> None:
        """Drops the state of all other locations."""
        for state in (self._orphans, self._imageless, self._incomplete, self._parked_counts):
            state.retain(locations)
        self._foreign = {location: images for location, images in self._foreign.items() if location in locations}

    async def _scan_pool(self, location: PoolLocation, pool: RbdPool) -> None:
        expected = self._pools.expected(location)
        listed = await pool.list_images()
        index = ImageIndex(listed)
        # Volumes that were saved while the images were listed count, too.
        matched = await self._match(pool, index, self._pools.expected(location) | expected)
        number = await pool.number()
        unmatched = self._unmatched(location, listed, {image.id for _, image in matched.values()})
        cloning = await self._stale_clones.scan(location, pool)
        unmatched = [image for image in unmatched if image.name not in cloning]
        orphans, incomplete = await self._classify(location, pool, number, unmatched)
        orphans = await self._without_parked(location, pool, number, orphans)
        orphans = await self._orphans.without_used(location, number, orphans)
        known_seconds = self._orphans.count(location, orphans)
        missing = {name: volume for name, volume in expected.items() if name not in matched}
        self._report_imageless(location, await self._without_image(missing))
        await self._upgrader.upgrade(pool, matched)
        for image, owner in orphans.items():
            await self._orphans.report(pool, image, owner, known_seconds[image])
        incomplete |= dict.fromkeys(await self._incomplete.journaled(pool, set(index.by_name)), False)
        await self._incomplete.report(location, pool, incomplete)

    async def _match(
        self, pool: RbdPool, index: ImageIndex, volumes: Mapping[str, CachedVolume]
    ) -> dict[str, tuple[CachedVolume, ListedImage]]:
        """Returns the volumes that have an image in the pool, with it."""
        return {
            name: (volume, image)
            for name, volume in volumes.items()
            if (image := index.find(volume, self._kubernetes)) is not None
            and (image.id == volume.image_id or await self._has_owner(pool, image, volume.owner))
        }

    def _unmatched(self, location: PoolLocation, listed: Iterable[ListedImage], matched: set[str]) -> list[ListedImage]:
        """Returns the images that no volume has and that are not known as foreign."""
        others = [image for image in listed if image.id not in matched]
        foreign = self._foreign.setdefault(location, set())
        foreign &= {image.id for image in others}
        return [image for image in others if image.id not in foreign]

    async def _classify(
        self, location: PoolLocation, pool: RbdPool, number: int, images: Iterable[ListedImage]
    ) -> tuple[dict[ListedImage, str], dict[ListedImage, bool]]:
        """Returns the orphans with the UIDs of their claims, and the suspected ones with whether they have an image."""
        metadata = {image: await self._metadata(pool, image) for image in images}
        suspects = {
            image: found is not None
            for image, found in metadata.items()
            if not found and self._incomplete.is_incomplete(image)
        }
        orphans: dict[ListedImage, str] = {}
        for image, found in metadata.items():
            if found is None or image in suspects:
                continue
            related = relation(found, pool=number, image=image.id, name=image.name, kubernetes=self._kubernetes)
            if related not in {Relation.PROVEN, Relation.LIKELY}:
                self._foreign[location].add(image.id)
                if related is Relation.COPY:
                    owner = found[well_known.OWNER]
                    _log.info("image is a copy of a claim's image", image=image.name, pool=pool.name, owner=owner)
            elif await self._orphans.is_orphan(found):
                if related is Relation.PROVEN:
                    orphans[image] = found[well_known.OWNER]
                else:
                    suspects[image] = True
        return orphans, suspects

    async def _without_parked(
        self, location: PoolLocation, pool: RbdPool, number: int, orphans: dict[ListedImage, str]
    ) -> dict[ListedImage, str]:
        """Leaves out parked images, and removes those that nothing needs any more."""
        parked: set[ListedImage] = set()
        for image in orphans:
            if parse_parked(await self._metadata(pool, image) or {}, number, image.id) is None:
                continue
            parked.add(image)
            try:
                await self._parked.release(ImageHandle(location.cluster, number, location.namespace, image.id))
            except CephError as error:
                _log.warning("could not remove a parked image", image=image.name, pool=pool.name, error=str(error))
        self._parked_counts.record(location, len(parked))
        return {image: owner for image, owner in orphans.items() if image not in parked}

    async def _has_owner(self, pool: RbdPool, image: ListedImage, owner: str) -> bool:
        """Whether an image that was found by its name is the volume's, and not another one of that name."""
        found = await self._metadata(pool, image)
        expected = (owner, self._kubernetes)
        return found is not None and (found.get(well_known.OWNER), found.get(well_known.KUBERNETES)) == expected

    async def _without_image(self, missing: Mapping[str, CachedVolume]) -> dict[str, CachedVolume]:
        """Returns those of the volumes that still exist and whose image is in no other pool either."""
        found = {}
        for name, volume in missing.items():
            try:
                located = await locate_image(self._context, volume.request)
            except (ImageTaken, InUse) as error:
                await self._upgrader.report_unclear(name, str(error))
                continue
            if located is not None:
                pool, image = located
                await self._upgrader.upgrade(pool, {name: (volume, ListedImage(image.name, image.id))})
            elif await self._context.get_or_none(PERSISTENT_VOLUMES, name) is not None:
                found[name] = volume
        return found

    def _report_imageless(self, location: PoolLocation, imageless: Mapping[str, CachedVolume]) -> None:
        self._imageless.record(location, len(imageless))
        for name, volume in imageless.items():
            image = volume.location and volume.location.image
            _log.error("volume without image", volume=name, image=image, pool=location.pool)

    async def _metadata(self, pool: RbdPool, image: ListedImage) -> dict[str, str] | None:
        """Returns the image's metadata; None if the image is incomplete or does not exist any more."""
        try:
            return await pool.get_metadata(image.id)
        except ImageMissing:
            return None
