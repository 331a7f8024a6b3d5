"""Orphan images: created for a claim of this Kubernetes cluster, and without claim or volume now.

Sutler reports them. It moves them to the trash only with `--orphans=trash`, after a grace period, and only if the image
is proven to be the claim's.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from provisioner.ceph.errors import ImageMissing, ImageTaken, InUse
from provisioner.ceph.model import ImageQuery, JournalEntry, ListedImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes import metrics
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.leader_context import LeaderContext
from sutler import log, well_known
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes.locations import ImageLocation, PoolLocation, ids_of, uses_image
from sutler.volumes.volume_name import volume_name

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class OrphanPolicy:
    interval: float
    """Seconds between two scans."""
    orphans: Literal["report", "trash"]
    grace: float
    """Seconds for which an orphan must have existed before it is moved to the trash."""
    trash_delay: int
    """Minimum number of seconds for which an orphan in the trash can be restored."""


class OrphanImages:
    def __init__(
        self,
        context: LeaderContext,
        informers: VolumeInformers,
        *,
        is_pending: Callable[[str], bool],
        policy: OrphanPolicy,
    ) -> None:
        """`is_pending`: whether the volume of this name is being provisioned."""
        self._context = context
        self._informers = informers
        self._is_pending = is_pending
        self._policy = policy
        self._counts = metrics.NamespaceSum(metrics.ORPHANS)
        self._since: dict[PoolLocation, dict[str, float]] = {}
        """When each orphan, by its id, was first found, in monotonic time."""

    async def is_orphan(self, metadata: Mapping[str, str]) -> bool:
        """Whether the owner that the metadata names has neither claim nor volume that could have the image."""
        owner = metadata[well_known.OWNER]
        volume = volume_name(owner)
        if self._is_pending(volume) or await self._context.get_or_none(PERSISTENT_VOLUMES, volume) is not None:
            return False
        if metadata.get(well_known.ADOPTING) in self._informers.volumes:
            return False  # the request for its adoption still exists
        namespace, name = metadata.get(well_known.METADATA_NAMESPACE), metadata.get(well_known.METADATA_CLAIM)
        return not (namespace and name and await self._is_claimed(namespace, name, owner))

    async def _is_claimed(self, namespace: str, name: str, uid: str) -> bool:
        """Whether the claim exists and has no volume yet: then it will get the image."""
        claim = await self._context.get_or_none(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        return claim is not None and bool(claim["metadata"]["uid"] == uid and not claim["spec"].get("volumeName"))

    async def without_used(
        self, location: PoolLocation, number: int, orphans: dict[ListedImage, str]
    ) -> dict[ListedImage, str]:
        """Leaves out images that any volume uses, also one restored from a backup or created manually."""
        if not orphans:
            return orphans
        locations = {
            image: ImageLocation(location.cluster, location.pool, location.namespace, image.name) for image in orphans
        }

        def used(volume: Json) -> set[ListedImage]:
            return {
                image
                for image, where in locations.items()
                if uses_image(volume, where) or ids_of(volume) == (number, image.id)
            }

        found, _ = await self._context.client.list_transformed(PERSISTENT_VOLUMES, transform=used, query=[])
        taken = set().union(*found)
        return {image: owner for image, owner in orphans.items() if image not in taken}

    def count(self, location: PoolLocation, orphans: Mapping[ListedImage, str]) -> dict[ListedImage, float]:
        """Updates the metric; returns for how many seconds each orphan has been known."""
        self._counts.record(location, len(orphans))
        before, now = self._since.get(location, {}), time.monotonic()
        self._since[location] = {image.id: before.get(image.id, now) for image in orphans}
        return {image: now - self._since[location][image.id] for image in orphans}

    async def report(self, pool: RbdPool, image: ListedImage, owner: str, known: float) -> None:
        """Logs the orphan and, by the policy, moves it to the trash.

        Args:
            pool: of the image.
            image: the orphan.
            owner: the UID of its claim.
            known: for how many seconds it has been known. Its claim may be about to be restored from a backup.
        """
        _log.warning(
            "orphan image: neither claim nor volume", image=image.name, pool=pool.name, policy=self._policy.orphans
        )
        if self._policy.orphans != "trash":
            return
        try:
            await self._move_to_trash(pool, image, owner, known)
        except (ImageMissing, ImageTaken, InUse) as error:
            # An orphan that is in use must not keep Sutler from handling the others.
            _log.warning("could not move orphan image to the trash", image=image.name, pool=pool.name, error=str(error))

    async def _move_to_trash(self, pool: RbdPool, image: ListedImage, owner: str, known: float) -> None:
        found = await pool.describe(image.name)
        grace = self._policy.grace
        if known < grace or datetime.now(UTC) - found.created < timedelta(seconds=grace):
            return
        if well_known.ADOPTING in found.metadata:
            return  # it had another owner before, and its adoption was not completed
        query = ImageQuery(image.name, owner, self._context.kubernetes, image.id)
        await pool.move_to_trash(query, delay=self._policy.trash_delay, fence=self._context.fence)
        namespace = found.metadata.get(well_known.METADATA_NAMESPACE, "")
        entry = JournalEntry(owner, volume_name(owner), namespace)
        if image.name == entry.image:
            await pool.remove_journal_entry(entry, fence=self._context.fence)
        _log.warning("moved orphan image to the trash", image=image.name, pool=pool.name)

    def retain(self, locations: set[PoolLocation]) -> None:
        """Drops the state of all other locations."""
        self._counts.retain(locations)
        self._since = {location: since for location, since in self._since.items() if location in locations}
