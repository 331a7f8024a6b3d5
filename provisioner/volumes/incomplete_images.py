"""Names in a pool that look like ours but belong to nobody: what a create leaves that was killed half-way.

librbd's create makes an image before anything can be written on it, and our own enters the name before there is an
image, before that perhaps into ceph-csi's journal. Each is finished by the next try, unless the claim is gone by then.
A name alone proves little, so what is found is reported; only a name without an image, with the id that we would have
given it, is removed, and only if told.
"""

import re
import time
from collections.abc import Callable, Mapping

from provisioner.ceph.errors import CephError
from provisioner.ceph.model import JournalEntry, ListedImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes import metrics
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.totals import Totals, Where
from sutler import log
from sutler.volumes import well_known
from sutler.volumes.identity import image_id

_log = log.get(__name__)

_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OTHERS = ("csi-vol-", "csi-snap-", "kubernetes-dynamic-pvc-")
"""How ceph-csi and Kubernetes' own provisioners begin names that hold a UUID of their own making."""


class IncompleteImages:
    def __init__(
        self,
        watches: VolumeInformers,
        *,
        kubernetes: str,
        in_progress: Callable[[str], bool],
        remove: bool,
        grace: float,
        fence: Callable[[], None],
    ) -> None:
        """`remove`: whether names without an image may be removed, after `grace` seconds."""
        self._watches = watches
        self._kubernetes = kubernetes
        self._in_progress = in_progress
        self._remove = remove
        self._grace = grace
        self._fence = fence
        self._suspects = Totals(metrics.SUSPECTS)
        self._since: dict[Where, dict[ListedImage, float]] = {}

    def is_one(self, image: ListedImage) -> bool:
        """Whether an image without metadata, or a name without an image, is left over from a claim that is gone."""
        uid = _uid(image.name)
        if not uid or (image.name.startswith(_OTHERS) and not self._made_here(image)):
            return False
        volume = well_known.volume_name(uid)
        wanted = self._in_progress(volume) or self._watches.claim_of(volume) is not None
        return not wanted and volume not in self._watches.volumes

    async def entered(self, pool: RbdPool, there: set[str]) -> list[ListedImage]:
        """The images that ceph-csi's journal names and that are not `there`, left over from claims that are gone."""

        def wanted(entry: JournalEntry) -> bool:
            return entry.volume == well_known.volume_name(entry.uuid) and entry.image not in there

        # A key that leads to nothing is of use to nobody, and ceph-csi itself calls no volume like its entry.
        found = [
            ListedImage(entry.image, image_id(self._kubernetes, entry.image) if identifier is None else identifier)
            for entry, identifier in await pool.entries(wanted)
        ]
        return [image for image in found if self.is_one(image)]

    async def report(self, where: Where, pool: RbdPool, found: Mapping[ListedImage, bool]) -> None:
        """`found`: each with whether there is an image."""
        now, before = time.monotonic(), self._since.get(where, {})
        self._since[where] = {image: before.get(image, now) for image in found}
        self._suspects.count(where, len(found))
        for image, since in self._since[where].items():
            if image not in before:
                _log.warning("perhaps an orphan", image=image.name, pool=pool.name, whole=found[image])
            if self._remove and not found[image] and self._made_here(image) and now - since >= self._grace:
                await self._clear(pool, image)

    def keep(self, places: set[Where]) -> None:
        """Forgets what is elsewhere."""
        self._suspects.keep(places)
        self._since = {where: since for where, since in self._since.items() if where in places}

    async def _clear(self, pool: RbdPool, image: ListedImage) -> None:
        entry = JournalEntry(_uid(image.name), well_known.volume_name(_uid(image.name)), "")
        try:
            await pool.clear(
                image.name, image.id, fence=self._fence, entry=entry if image.name == entry.image else None
            )
        except CephError as error:
            _log.warning("a name without an image could not be removed", image=image.name, error=str(error))
        else:
            _log.warning("a name without an image was removed", image=image.name, pool=pool.name)

    def _made_here(self, image: ListedImage) -> bool:
        """The id follows from the name and this Kubernetes cluster: nobody else gives the same one."""
        return image.id == image_id(self._kubernetes, image.name)


def _uid(name: str) -> str:
    """The first UUID in an image's name; empty if there is none."""
    found = _UID.search(name)
    return found[0] if found else ""
