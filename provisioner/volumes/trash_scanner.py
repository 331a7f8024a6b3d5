"""Finds images in the trash that Sutler has moved there, and whose time to be restored is over."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime

from provisioner.ceph.errors import ImageMissing
from provisioner.ceph.interrupted import InterruptedWork, interrupted_work
from provisioner.ceph.model import MovedToTrash
from provisioner.ceph.pool import RbdPool
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.trash_purger import TrashPurger
from sutler import well_known
from sutler.volumes.identity import Relation, relation
from sutler.volumes.locations import ImageLocation, PoolLocation
from sutler.volumes.volume_name import volume_name


class TrashScanner:
    def __init__(self, informers: VolumeInformers, purger: TrashPurger, kubernetes: str) -> None:
        """`kubernetes`: the UID of the kube-system namespace."""
        self._informers = informers
        self._purger = purger
        self._kubernetes = kubernetes

    async def scan(self, location: PoolLocation, pool: RbdPool) -> None:
        """Schedules the removal of the images that are due."""
        now, number = datetime.now(UTC), await pool.number()
        for entry in await pool.list_trash():
            if entry.until > now:
                continue
            with contextlib.suppress(ImageMissing):
                metadata = await pool.get_metadata(entry.id)
                if self._is_due(entry, metadata, number):
                    image = ImageLocation(location.cluster, location.pool, location.namespace, entry.name)
                    self._purger.add(image, entry.id)

    def _is_due(self, entry: MovedToTrash, metadata: Mapping[str, str], number: int) -> bool:
        if entry.until <= entry.deleted and interrupted_work(metadata, entry.id) != InterruptedWork.REMOVE:
            return False  # a user has moved it to the trash, to keep it there
        proven = relation(metadata, pool=number, image=entry.id, name=entry.name, kubernetes=self._kubernetes)
        if proven is not Relation.PROVEN or well_known.ADOPTING in metadata:
            return False  # another cluster's, a copy that an administrator has moved to the trash, or being restored
        volume = self._informers.volumes.get(volume_name(metadata[well_known.OWNER]))
        # A user may also have moved an image to the trash that its volume still needs.
        return volume is None or volume.awaits_deletion or volume.image_id not in {"", entry.id}
