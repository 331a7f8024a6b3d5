"""Comparing what is in Ceph with what is in Kubernetes, in both directions: what no event will ever tell of.

An image is an orphan when a provisioner was killed between image and PersistentVolume and the claim is gone since. It
is reported, and moved to the trash only when told to, after a grace time, and if it is provably ours.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from provisioner.ceph.clusters import Clusters
from provisioner.ceph.errors import CephError, ImageMissing, ImageTaken, InUse
from provisioner.ceph.model import Entry, Listed, Sought
from provisioner.ceph.pool import Pool
from provisioner.volumes import metrics, names
from provisioner.volumes.leftovers import Leftovers
from provisioner.volumes.purge import Purger
from provisioner.volumes.totals import Totals, Where
from provisioner.volumes.volume import Place
from provisioner.volumes.watches import Watches
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import KubeError, NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    interval: float
    """Seconds between two comparisons."""
    orphans: Literal["report", "trash"]
    grace: float
    """Seconds that an orphan must have existed before it is moved to the trash."""
    trash_delay: int
    """Seconds that it can be restored then, at least."""


class Reconciler:
    def __init__(
        self,
        client: Client,
        clusters: Clusters,
        watches: Watches,
        events: EventRecorder,
        *,
        kubernetes: str,
        in_progress: Callable[[str], bool],
        purger: Purger,
        policy: Policy,
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
        self._foreign: dict[Where, set[str]] = {}
        self._leftovers = Leftovers(
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
        places = self._places()
        self._keep(places)
        for where in sorted(places):
            try:
                pool = self._clusters.get(where[0]).pool(where[1], where[2])
                await self._compare(where, pool)
                await self._purge(where, pool)
            except (CephError, KubeError) as error:
                # The next comparison is soon enough; nothing waits for this one.
                _log.warning("pool could not be compared", cluster=where[0], pool=where[1], error=str(error))

    def _keep(self, places: set[Where]) -> None:
        """Forgets what is elsewhere."""
        for kept in (self._orphans, self._imageless, self._leftovers):
            kept.keep(places)
        self._foreign = {where: images for where, images in self._foreign.items() if where in places}

    def _places(self) -> set[Where]:
        classes = [view.parsed for view in self._watches.classes.values() if view.parsed is not None]
        places = {(cls.cluster, cls.pool, cls.namespace) for cls in classes}
        return places | {where for view in self._watches.volumes.values() if view and (where := _where(view.place))}

    async def _compare(self, where: Where, pool: Pool) -> None:
        expected = self._expected(where)
        listed = await pool.images()
        there = {image.name for image in listed}
        known = set(self._expected(where).values()) | set(expected.values())
        foreign = self._foreign.setdefault(where, set())
        foreign &= {image.id for image in listed if image.name not in known}
        strangers = [image for image in listed if image.name not in known and image.id not in foreign]
        said = {image: await self._metadata(pool, image) for image in strangers}
        leftovers = {
            image: found is not None for image, found in said.items() if not found and self._leftovers.is_one(image)
        }
        foreign |= {image.id for image, found in said.items() if self._is_foreign(found) and image not in leftovers}
        orphans = {
            image: found[names.OWNER]
            for image, found in said.items()
            if found and image.id not in foreign and await self._is_orphan(found)
        }
        imageless = [name for name, image in expected.items() if image not in there and await self._still_there(name)]
        self._orphans.count(where, len(orphans))
        self._imageless.count(where, len(imageless))
        for name in imageless:
            _log.error("volume without image", volume=name, image=expected[name], pool=where[1])
        for image, owner in orphans.items():
            try:
                await self._treat(pool, image, owner)
            except (ImageMissing, ImageTaken, InUse) as error:
                # One that somebody needs keeps nobody from looking after the others.
                _log.warning("orphan image is left alone", image=image.name, pool=pool.name, error=str(error))
        leftovers |= dict.fromkeys(await self._leftovers.entered(pool, there), False)
        await self._leftovers.report(where, pool, leftovers)

    def _expected(self, where: Where) -> dict[str, str]:
        """The images of our volumes there, by the volume's name."""
        return {
            name: view.place.image
            for name, view in self._watches.volumes.items()
            if view is not None and view.place is not None and not view.ends and _where(view.place) == where
        }

    async def _metadata(self, pool: Pool, image: Listed) -> dict[str, str] | None:
        """None: there is no image, since it is not whole yet or not any more."""
        try:
            return await pool.metadata(image.id)
        except ImageMissing:
            return None

    def _is_foreign(self, metadata: Mapping[str, str] | None) -> bool:
        if metadata is None:
            return False
        return names.OWNER not in metadata or metadata.get(names.KUBERNETES) != self._kubernetes

    async def _is_orphan(self, metadata: Mapping[str, str]) -> bool:
        owner = metadata[names.OWNER]
        volume = names.volume_name(owner)
        if self._in_progress(volume) or await self._still_there(volume):
            return False
        if metadata.get(names.ADOPTING) in self._watches.volumes:
            return False  # the request for it is still there
        namespace, claim = metadata.get(names.METADATA_NAMESPACE), metadata.get(names.METADATA_CLAIM)
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

    async def _treat(self, pool: Pool, image: Listed, owner: str) -> None:
        _log.warning(
            "orphan image: neither claim nor volume", image=image.name, pool=pool.name, policy=self._policy.orphans
        )
        if self._policy.orphans != "trash":
            return
        found = await pool.describe(image.name)
        if datetime.now(UTC) - found.created < timedelta(seconds=self._policy.grace):
            return
        if names.ADOPTING in found.metadata:
            return  # it was somebody else's before, and its adoption has not been completed
        sought = Sought(image.name, owner, self._kubernetes, image.id)
        await pool.trash(sought, delay=self._policy.trash_delay, fence=self._fence)
        entry = Entry(owner, names.volume_name(owner), found.metadata.get(names.METADATA_NAMESPACE, ""))
        if image.name == entry.image:
            await pool.drop(entry, fence=self._fence)
        _log.warning("orphan image moved to the trash", image=image.name, pool=pool.name)

    async def _purge(self, where: Where, pool: Pool) -> None:
        """Removes from the trash what we have put there and what nobody has restored in time."""
        now = datetime.now(UTC)
        for entry in await pool.trash_list():
            if entry.until > now:
                continue
            with contextlib.suppress(ImageMissing):
                metadata = await pool.metadata(entry.id)
                if metadata.get(names.KUBERNETES) != self._kubernetes or names.ADOPTING in metadata:
                    continue  # another cluster's, or just being restored
                place, view = Place(*where, entry.name), self._watches.volumes.get(_volume_of(metadata))
                if view is not None and view.place == place and not view.ends:
                    continue  # thrown away by hand, and its volume still needs it
                self._purger.add(place, entry.id)


def _volume_of(metadata: Mapping[str, str]) -> str:
    return names.volume_name(metadata.get(names.OWNER, ""))


def _where(place: Place | None) -> Where | None:
    return (place.cluster, place.pool, place.namespace) if place is not None else None
