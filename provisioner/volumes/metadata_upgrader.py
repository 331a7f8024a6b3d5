"""Volumes that do not know their images' ids yet, and images that do not name theirs: both are made to, with proof.

Version 0.1.0 wrote no ids; a migration gives an image another one. An image that belongs to a claim of another name by
now, since the volume was bound again, is given that name, so that people are told of the claim that there is.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping

from provisioner.ceph.errors import CephError, ImageMissing, ImageTaken, InUse
from provisioner.ceph.model import ListedImage, RbdImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes.cache_entries import CachedVolume, wanted_of
from provisioner.volumes.event_deduplication import AN_HOUR, EventDeduplicator
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import PERSISTENT_VOLUMES
from sutler.volumes import well_known
from sutler.volumes.identity import image_id, marks

_log = log.get(__name__)

MOST = 500
"""Volumes that one comparison upgrades: ten thousand must not hold up all else."""


class FoundVolume:
    """The images of a pool."""

    def __init__(self, images: Iterable[ListedImage]) -> None:
        self.by_id = {image.id: image for image in images}
        self.by_name = {image.name: image for image in self.by_id.values()}

    def match(self, view: CachedVolume, kubernetes: str) -> ListedImage | None:
        """The image that seems to be the volume's."""
        if view.place is None:
            return None
        likely = view.image_id or image_id(kubernetes, view.place.image)
        return self.by_id.get(likely) or self.by_name.get(view.place.image)


class MetadataUpgrader:
    def __init__(self, client: Client, events: EventRecorder, *, kubernetes: str, fence: Callable[[], None]) -> None:
        self._client = client
        self._events = events
        self._kubernetes = kubernetes
        self._fence = fence
        self._told = EventDeduplicator(AN_HOUR)

    async def upgrade(self, pool: RbdPool, found: Mapping[str, tuple[CachedVolume, ListedImage]]) -> None:
        """`found`: volumes by name, with the image that seems to be theirs."""
        number = await pool.number()
        due = {
            name: (view, image)
            for name, (view, image) in found.items()
            if (view.pool_id, view.image_id) != (number, image.id) or view.bound_again
        }
        claimants: dict[str, list[tuple[str, bool | None]]] | None = None
        for name, (view, image) in list(due.items())[:MOST]:
            try:
                if (view.pool_id, view.image_id) == (number, image.id):
                    await self._rename_claim(pool, view, image)
                    continue
                if view.image_id:
                    image = await self._successor(pool, view, image)  # noqa: PLW2901 - the same one, proven
                elif image.id != image_id(self._kubernetes, view.place.image if view.place else ""):
                    claimants = claimants or await pool.claimants(self._kubernetes)
                    _require_alone(claimants.get(view.owner, []), pool, image)
                await self._own(pool, view, image)
                await self._save(name, marks(number, image.id))
                _log.info("volume knows its image by id now", volume=name, image=image.name, pool=pool.name)
            except ImageMissing:
                continue  # going, or not whole
            except (ImageTaken, InUse) as error:
                await self.tell(name, str(error))
            except CephError as error:
                _log.warning("volume could not be upgraded", volume=name, error=str(error))

    async def _successor(self, pool: RbdPool, view: CachedVolume, image: ListedImage) -> ListedImage:
        """What a migration, or somebody by hand, has put in the place of the volume's image."""
        found = await pool.find(wanted_of(view).sought(self._kubernetes))
        if found is None:
            raise ImageMissing(f"image {pool.name}/{image.name} is in the trash")
        return ListedImage(found.name, found.id)

    async def _rename_claim(self, pool: RbdPool, view: CachedVolume, image: ListedImage) -> None:
        said = await pool.metadata(image.id)
        if view.bound_again != (said.get(well_known.METADATA_NAMESPACE), said.get(well_known.METADATA_CLAIM)):
            await self._own(pool, view, image)

    async def _own(self, pool: RbdPool, view: CachedVolume, image: ListedImage) -> None:
        def judge(found: RbdImage) -> None:
            whose = (found.metadata.get(well_known.OWNER), found.metadata.get(well_known.KUBERNETES))
            if found.id != image.id or whose != (view.owner, self._kubernetes):
                raise ImageTaken(f"image {pool.name}/{image.name} is not this volume's: its metadata has "
                                 f"{well_known.OWNER}={whose[0]} and {well_known.KUBERNETES}={whose[1]}")  # fmt: skip

        claim = dict(
            zip(
                (well_known.METADATA_NAMESPACE, well_known.METADATA_CLAIM),
                view.bound_again or (),
                strict=False,
            )
        )
        await pool.own(image.name, judge, claim, fence=self._fence)

    async def _save(self, name: str, annotations: Mapping[str, str]) -> None:
        with contextlib.suppress(NotFound):
            await self._client.merge_patch(PERSISTENT_VOLUMES, name, {"metadata": {"annotations": annotations}})

    async def tell(self, name: str, message: str) -> None:
        if not self._told.is_news(name, message, time.monotonic()):
            return
        _log.warning("a volume's image can't be told from others", volume=name, error=message)
        with contextlib.suppress(NotFound):
            self._events.warning(await self._client.get(PERSISTENT_VOLUMES, name), "ImageUnclear", message)


def _require_alone(claimants: list[tuple[str, bool | None]], pool: RbdPool, image: ListedImage) -> None:
    others = sorted(name for name, itself in claimants if name != image.name and itself is not False)
    if others:
        raise ImageTaken(
            f"nothing proves whether image {pool.name}/{image.name} is this volume's or {others[0]}, which names the "
            f"same owner: take the metadata {well_known.OWNER} off the copy (rbd image-meta remove)"
        )
