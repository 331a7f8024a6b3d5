"""Comparing what is in Ceph with what is in Kubernetes, in both directions: what no event will ever tell of.

An image is an orphan when a provisioner was killed between image and PersistentVolume and the claim is gone since. It
is reported, and moved to the trash only when told to, after a grace time, and if it is provably ours.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.errors import CephError, ImageMissing, ImageTaken, InUse, PoolMissing
from provisioner.ceph.interrupted import InterruptedWork, begun
from provisioner.ceph.model import ImageQuery, JournalEntry, ListedImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes import metrics
from provisioner.volumes.cache_entries import CachedVolume, wanted_of
from provisioner.volumes.image_locator import pool_of
from provisioner.volumes.incomplete_images import IncompleteImages
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.metadata_upgrader import FoundVolume, MetadataUpgrader
from provisioner.volumes.planning.persistent_volume import ImageLocation, ids_of
from provisioner.volumes.totals import Totals, Where
from provisioner.volumes.trash_purger import TrashPurger
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import KubeError, NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.identity import Relation, relation
from sutler.volumes.locations import uses

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class OrphanPolicy:
    interval: float
    """Seconds between two comparisons."""
    orphans: Literal["report", "trash"]
    grace: float
    """Seconds that an orphan must have existed before it is moved to the trash."""
    trash_delay: int
    """Seconds that it can be restored then, at least."""


class OrphanScanner:
    def __init__(
        self,
        client: Client,
        clusters: CephClusters,
        watches: VolumeInformers,
        events: EventRecorder,
        *,
        kubernetes: str,
        in_progress: Callable[[str], bool],
        purger: TrashPurger,
        policy: OrphanPolicy,
        fence: Callable[[], None],
    ) -> None:
        """`in_progress`: whether the volume of this name is being made."""
        self._client = client
        self._clusters = clusters
        self._watches = watches
        self._events = events
        self._kubernetes = kubernetes
        self._in_progress = in_progress
        self._purger = purger
        self._policy = policy
        self._fence = fence
        self._orphans, self._imageless = Totals(metrics.ORPHANS), Totals(metrics.IMAGELESS)
        self._since: dict[Where, dict[str, float]] = {}
        """When each orphan, by its id, was first seen to be one."""
        self._foreign: dict[Where, set[str]] = {}
        self._pool_names: dict[tuple[str, int], str | None] = {}
        self._upgrader = MetadataUpgrader(client, events, kubernetes=kubernetes, fence=fence)
        self._leftovers = IncompleteImages(
            watches,
            kubernetes=kubernetes,
            in_progress=in_progress,
            remove=policy.orphans == "trash",
            grace=policy.grace,
            fence=fence,
        )

    async def run(self) -> None:
        try:
            while True:
                await self.compare()
                await asyncio.sleep(self._policy.interval)
        finally:
            # Whoever leads next tells of them.
            self._keep(set())

    async def compare(self) -> None:
        await self._look_for_pools()
        places = self._places()
        self._keep(places)
        for where in sorted(places):
            try:
                pool = self._clusters.get(where[0]).pool(where[1], where[2])
                await self._compare(where, pool)
                await self._purge(where, pool)
            except PoolMissing as error:
                _log.warning("pool could not be compared", cluster=where[0], pool=where[1], error=str(error))
                gone = {name: view for name, view in self._expected(where).items() if self._pool_is_gone(view)}
                self._report_imageless(where, await self._without(gone))
            except (CephError, KubeError) as error:
                # The next comparison is soon enough; nothing waits for this one.
                _log.warning("pool could not be compared", cluster=where[0], pool=where[1], error=str(error))

    def _keep(self, places: set[Where]) -> None:
        """Forgets what is elsewhere."""
        for kept in (self._orphans, self._imageless, self._leftovers):
            kept.keep(places)
        self._foreign = {where: images for where, images in self._foreign.items() if where in places}
        self._since = {where: since for where, since in self._since.items() if where in places}

    async def _look_for_pools(self) -> None:
        """What the pools of our volumes are called now; None for one that is gone."""
        wanted = {
            (view.place.cluster, view.pool_id)
            for view in self._watches.volumes.values()
            if view is not None and view.place is not None and view.pool_id is not None
        }
        self._pool_names = {}
        for cluster, number in sorted(wanted):
            try:
                self._pool_names[cluster, number] = (await self._clusters.get(cluster).pool_by_number(number)).name
            except PoolMissing:
                self._pool_names[cluster, number] = None
            except CephError as error:
                _log.warning("pool could not be looked up", cluster=cluster, number=number, error=str(error))

    def _places(self) -> set[Where]:
        classes = [view.parsed for view in self._watches.classes.values() if view.parsed is not None]
        places = {(cls.cluster, cls.pool, cls.namespace) for cls in classes}
        return places | {where for view in self._watches.volumes.values() if view and (where := self._where(view))}

    def _where(self, view: CachedVolume) -> Where | None:
        """By the pool's name of today."""
        place = view.place
        if place is None:
            return None
        name = self._pool_names.get((place.cluster, view.pool_id)) if view.pool_id is not None else None
        return place.cluster, name or place.pool, place.namespace

    def _pool_is_gone(self, view: CachedVolume) -> bool:
        where = (view.place.cluster, view.pool_id) if view.place is not None and view.pool_id is not None else None
        return where is not None and self._pool_names.get(where, "") is None

    async def _compare(self, where: Where, pool: RbdPool) -> None:
        expected = self._expected(where)
        listed = await pool.images()
        there = FoundVolume(listed)
        # Those, too, that came while the images were listed.
        matched = {
            name: (view, image)
            for name, view in (self._expected(where) | expected).items()
            if (image := there.match(view, self._kubernetes)) is not None
            and (image.id == view.image_id or await self._names_owner(pool, image, view.owner))
        }
        known = {image.id for _, image in matched.values()}
        foreign = self._foreign.setdefault(where, set())
        foreign &= {image.id for image in listed if image.id not in known}
        strangers = [image for image in listed if image.id not in known and image.id not in foreign]
        said = {image: await self._metadata(pool, image) for image in strangers}
        leftovers = {
            image: found is not None for image, found in said.items() if not found and self._leftovers.is_one(image)
        }
        orphans: dict[ListedImage, str] = {}
        number = await pool.number()
        for image, found in said.items():
            if found is None or image in leftovers:
                continue
            whose = relation(found, pool=number, image=image.id, name=image.name, kubernetes=self._kubernetes)
            if whose not in {Relation.PROVEN, Relation.LIKELY}:
                foreign.add(image.id)
                if whose is Relation.COPY:
                    _log.info(
                        "image is a copy of a claim's",
                        image=image.name,
                        pool=pool.name,
                        owner=found[well_known.OWNER],
                    )
            elif await self._is_orphan(found):
                if whose is Relation.PROVEN:
                    orphans[image] = found[well_known.OWNER]
                else:
                    leftovers[image] = True
        orphans = await self._unused(where, number, orphans)
        self._orphans.count(where, len(orphans))
        before, now = self._since.get(where, {}), time.monotonic()
        self._since[where] = {image.id: before.get(image.id, now) for image in orphans}
        missing = {name: view for name, view in expected.items() if name not in matched}
        self._report_imageless(where, await self._without(missing))
        await self._upgrader.upgrade(pool, matched)
        for image, owner in orphans.items():
            try:
                await self._treat(pool, image, owner, now - self._since[where][image.id])
            except (ImageMissing, ImageTaken, InUse) as error:
                # One that somebody needs keeps nobody from looking after the others.
                _log.warning("orphan image is left alone", image=image.name, pool=pool.name, error=str(error))
        leftovers |= dict.fromkeys(await self._leftovers.entered(pool, set(there.by_name)), False)
        await self._leftovers.report(where, pool, leftovers)

    def _expected(self, where: Where) -> dict[str, CachedVolume]:
        """Our volumes whose images are there, or should be."""
        return {
            name: view
            for name, view in self._watches.volumes.items()
            if view is not None and view.place is not None and not view.ends and self._where(view) == where
        }

    async def _names_owner(self, pool: RbdPool, image: ListedImage, owner: str) -> bool:
        """Whether an image that is known by its name only is the volume's, and not another one of that name."""
        found = await self._metadata(pool, image)
        return found is not None and (found.get(well_known.OWNER), found.get(well_known.KUBERNETES)) == (
            owner,
            self._kubernetes,
        )

    async def _without(self, missing: Mapping[str, CachedVolume]) -> dict[str, CachedVolume]:
        """Those of the volumes whose image is nowhere else either, and that are there still."""
        found = {}
        for name, view in missing.items():
            try:
                pool = await pool_of(self._clusters, wanted_of(view), self._kubernetes)
                image = await pool.find(wanted_of(view).sought(self._kubernetes)) if pool is not None else None
            except (ImageTaken, InUse) as error:
                await self._upgrader.tell(name, str(error))
                continue
            if pool is not None and image is not None:
                await self._upgrader.upgrade(pool, {name: (view, ListedImage(image.name, image.id))})
            elif await self._still_there(name):
                found[name] = view
        return found

    def _report_imageless(self, where: Where, imageless: Mapping[str, CachedVolume]) -> None:
        self._imageless.count(where, len(imageless))
        for name, view in imageless.items():
            _log.error("volume without image", volume=name, image=view.place and view.place.image, pool=where[1])

    async def _unused(self, where: Where, number: int, orphans: dict[ListedImage, str]) -> dict[ListedImage, str]:
        """Without those that a volume of whatever name or maker has: restored from a backup, or made by hand."""
        if not orphans:
            return orphans
        places = {image: ImageLocation(where[0], where[1], where[2], image.name) for image in orphans}

        def used(volume: Json) -> set[ListedImage]:
            return {
                image for image, place in places.items() if uses(volume, place) or ids_of(volume) == (number, image.id)
            }

        found, _ = await self._client.collect(PERSISTENT_VOLUMES, keep=used, query=[])
        taken = set().union(*found)
        return {image: owner for image, owner in orphans.items() if image not in taken}

    async def _metadata(self, pool: RbdPool, image: ListedImage) -> dict[str, str] | None:
        """None: there is no image, since it is not whole yet or not any more."""
        try:
            return await pool.metadata(image.id)
        except ImageMissing:
            return None

    async def _is_orphan(self, metadata: Mapping[str, str]) -> bool:
        owner = metadata[well_known.OWNER]
        volume = well_known.volume_name(owner)
        if self._in_progress(volume) or await self._still_there(volume):
            return False
        if metadata.get(well_known.ADOPTING) in self._watches.volumes:
            return False  # the request for it is still there
        namespace, claim = (
            metadata.get(well_known.METADATA_NAMESPACE),
            metadata.get(well_known.METADATA_CLAIM),
        )
        return not (namespace and claim and await self._wanted(namespace, claim, owner))

    async def _wanted(self, namespace: str, name: str, uid: str) -> bool:
        """Whether the claim is there and has no other volume: then the image is for it."""
        try:
            claim = await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except NotFound as error:
            if not error.reason:
                raise
            return False
        return bool(claim["metadata"]["uid"] == uid and not claim["spec"].get("volumeName"))

    async def _still_there(self, volume: str) -> bool:
        try:
            await self._client.get(PERSISTENT_VOLUMES, volume)
        except NotFound as error:
            if not error.reason:
                raise  # not the API server's own word
            return False
        return True

    async def _treat(self, pool: RbdPool, image: ListedImage, owner: str, seen: float) -> None:
        """`seen`: for how many seconds it is known to be an orphan. Its claim may just be coming back from a backup."""
        _log.warning(
            "orphan image: neither claim nor volume", image=image.name, pool=pool.name, policy=self._policy.orphans
        )
        if self._policy.orphans != "trash":
            return
        found = await pool.describe(image.name)
        if seen < self._policy.grace or datetime.now(UTC) - found.created < timedelta(seconds=self._policy.grace):
            return
        if well_known.ADOPTING in found.metadata:
            return  # it was somebody else's before, and its adoption has not been completed
        sought = ImageQuery(image.name, owner, self._kubernetes, image.id)
        await pool.trash(sought, delay=self._policy.trash_delay, fence=self._fence)
        entry = JournalEntry(
            owner, well_known.volume_name(owner), found.metadata.get(well_known.METADATA_NAMESPACE, "")
        )
        if image.name == entry.image:
            await pool.drop(entry, fence=self._fence)
        _log.warning("orphan image moved to the trash", image=image.name, pool=pool.name)

    async def _purge(self, where: Where, pool: RbdPool) -> None:
        """Removes from the trash what we have put there and what nobody has restored in time."""
        now, number = datetime.now(UTC), await pool.number()
        for entry in await pool.trash_list():
            if entry.until > now:
                continue
            with contextlib.suppress(ImageMissing):
                metadata = await pool.metadata(entry.id)
                if entry.until <= entry.deleted and begun(metadata, entry.id) != InterruptedWork.REMOVE:
                    continue  # thrown away by hand, and for as long as people like
                # Another cluster's, a copy that an administrator has thrown away, or just being restored.
                said = (number, entry.id, entry.name)
                if not _is_proven(metadata, *said, self._kubernetes) or well_known.ADOPTING in metadata:
                    continue
                view = self._watches.volumes.get(well_known.volume_name(metadata[well_known.OWNER]))
                if view is not None and not view.ends and view.image_id in {"", entry.id}:
                    continue  # thrown away by hand, and its volume still needs it
                self._purger.add(ImageLocation(*where, entry.name), entry.id)


def _is_proven(metadata: Mapping[str, str], number: int, identifier: str, name: str, kubernetes: str) -> bool:
    return relation(metadata, pool=number, image=identifier, name=name, kubernetes=kubernetes) is Relation.PROVEN
