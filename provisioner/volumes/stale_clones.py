"""Removes what interrupted clones have left, once their claims are deleted; see provisioner.ceph.clone_intents."""

from collections.abc import Callable

from provisioner.ceph.clone_intents import CloneIntent
from provisioner.ceph.errors import CephError
from provisioner.ceph.pool import RbdPool
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.parked_images import ParkedImages
from sutler import log
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.volumes.locations import PoolLocation
from sutler.volumes.snapshot_handle import ImageHandle
from sutler.volumes.volume_name import volume_name

_log = log.get(__name__)


class StaleClones:
    def __init__(
        self,
        context: LeaderContext,
        informers: VolumeInformers,
        parked: ParkedImages,
        *,
        is_pending: Callable[[str], bool],
    ) -> None:
        """`is_pending`: whether the volume of this name is being provisioned."""
        self._context = context
        self._informers = informers
        self._parked = parked
        self._is_pending = is_pending

    async def scan(self, location: PoolLocation, pool: RbdPool) -> set[str]:
        """Removes the stale ones. Returns the names of all clones that may be incomplete."""
        intents = await pool.list_clone_intents()
        for name, intent in intents.items():
            if intent.kubernetes != self._context.kubernetes or not await self._is_stale(intent):
                continue
            try:
                await pool.discard_clone(name, intent.owner, intent.kubernetes, fence=self._context.fence)
                source = ImageHandle(location.cluster, intent.pool, intent.namespace, intent.image)
                await self._parked.release(source)
            except CephError as error:
                _log.warning("could not remove an incomplete clone", image=name, pool=pool.name, error=str(error))
            else:
                _log.info("removed an incomplete clone", image=name, pool=pool.name)
        return set(intents)

    async def _is_stale(self, intent: CloneIntent) -> bool:
        """Whether neither the claim nor its volume exists, so that no attempt will complete the clone."""
        volume = volume_name(intent.owner)
        if self._is_pending(volume) or self._informers.claim_of(volume) is not None:
            return False
        namespace, _, name = intent.claim.partition("/")
        claim = await self._context.get_or_none(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        if claim is not None and claim["metadata"]["uid"] == intent.owner:
            return False
        return await self._context.get_or_none(PERSISTENT_VOLUMES, volume) is None
