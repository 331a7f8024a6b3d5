"""Names in a pool that match Sutler's scheme and have no owner: what remains of an interrupted create.

librbd creates an image before anything can be written to it. Sutler's own create first writes the journal entry, if
there is one, then the name, then the image. The next attempt completes each of these, unless the claim is deleted by
then. A name alone proves little, so Sutler only reports what it finds. It removes only names without an image that have
the id that Sutler would have chosen, and only with `--orphans=trash`.
"""

import re
import time
from collections.abc import Callable, Mapping

from provisioner.ceph.errors import CephError
from provisioner.ceph.model import JournalEntry, ListedImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes import metrics
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.leader_context import LeaderContext
from sutler import log
from sutler.volumes.identity import image_id
from sutler.volumes.locations import PoolLocation
from sutler.volumes.volume_name import volume_name

_log = log.get(__name__)

_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OTHER_PREFIXES = ("csi-vol-", "csi-snap-", "kubernetes-dynamic-pvc-")
"""Prefixes of ceph-csi's and Kubernetes' own provisioners, whose names contain UUIDs that are no UIDs of claims."""


class IncompleteImages:
    def __init__(
        self,
        context: LeaderContext,
        informers: VolumeInformers,
        *,
        is_pending: Callable[[str], bool],
        remove: bool,
        grace: float,
    ) -> None:
        """The context, the informers and the policy.

        Args:
            context: of this leadership.
            informers: of claims and volumes.
            is_pending: whether the volume of this name is being provisioned.
            remove: whether to remove names without an image.
            grace: seconds for which a name must have been known before it is removed.
        """
        self._fence = context.fence
        self._kubernetes = context.kubernetes
        self._informers = informers
        self._is_pending = is_pending
        self._remove = remove
        self._grace = grace
        self._suspects = metrics.NamespaceSum(metrics.SUSPECTS)
        self._since: dict[PoolLocation, dict[ListedImage, float]] = {}
        """When each name was first found, in monotonic time."""

    def is_incomplete(self, image: ListedImage) -> bool:
        """Whether an image without metadata, or a name without an image, remains from a claim that is deleted."""
        uid = _uid(image.name)
        if not uid or (image.name.startswith(_OTHER_PREFIXES) and not self._has_sutler_id(image)):
            return False
        volume = volume_name(uid)
        is_needed = self._is_pending(volume) or self._informers.claim_of(volume) is not None
        return not is_needed and volume not in self._informers.volumes

    async def journaled(self, pool: RbdPool, existing: set[str]) -> list[ListedImage]:
        """Returns the images of ceph-csi's journal whose names do not exist, and whose claims are deleted."""

        def is_missing(entry: JournalEntry) -> bool:
            return entry.volume == volume_name(entry.uuid) and entry.image not in existing

        # A key of the journal without an entry has no use, and ceph-csi itself names no volume like its entry.
        found = [
            ListedImage(entry.image, image_id(self._kubernetes, entry.image) if identifier is None else identifier)
            for entry, identifier in await pool.list_journal(is_missing)
        ]
        return [image for image in found if self.is_incomplete(image)]

    async def report(self, location: PoolLocation, pool: RbdPool, found: Mapping[ListedImage, bool]) -> None:
        """Counts, logs and, by the policy, removes what was found; `found` says of each whether it has an image."""
        now, before = time.monotonic(), self._since.get(location, {})
        self._since[location] = {image: before.get(image, now) for image in found}
        self._suspects.record(location, len(found))
        for image, since in self._since[location].items():
            if image not in before:
                _log.warning("possible orphan image", image=image.name, pool=pool.name, has_image=found[image])
            if self._remove and not found[image] and self._has_sutler_id(image) and now - since >= self._grace:
                await self._remove_name(pool, image)

    def retain(self, locations: set[PoolLocation]) -> None:
        """Drops the state of all other locations."""
        self._suspects.retain(locations)
        self._since = {location: since for location, since in self._since.items() if location in locations}

    async def _remove_name(self, pool: RbdPool, image: ListedImage) -> None:
        entry = JournalEntry(_uid(image.name), volume_name(_uid(image.name)), "")
        try:
            await pool.remove_incomplete(
                image.name, image.id, fence=self._fence, entry=entry if image.name == entry.image else None
            )
        except CephError as error:
            _log.warning("could not remove a name without an image", image=image.name, error=str(error))
        else:
            _log.warning("removed a name without an image", image=image.name, pool=pool.name)

    def _has_sutler_id(self, image: ListedImage) -> bool:
        """Whether the id is the one that Sutler gives this name in this Kubernetes cluster: no other program does."""
        return image.id == image_id(self._kubernetes, image.name)


def _uid(name: str) -> str:
    """Returns the first UUID in an image's name; empty if there is none."""
    found = _UID.search(name)
    return found[0] if found else ""
