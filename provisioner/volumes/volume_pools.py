"""The pools of Sutler's volumes by their present names: pools can be renamed or deleted."""

from provisioner.ceph.errors import CephError, PoolMissing
from provisioner.volumes.cache_entries import CachedVolume
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.leader_context import LeaderContext
from sutler import log
from sutler.volumes.locations import PoolLocation

_log = log.get(__name__)


class VolumePools:
    def __init__(self, context: LeaderContext, informers: VolumeInformers) -> None:
        self._clusters = context.clusters
        self._informers = informers
        self._names: dict[tuple[str, int], str | None] = {}
        """Names by cluster and pool id; None for a deleted pool."""

    async def refresh(self) -> None:
        """Reads the names of the pools that volumes record."""
        recorded = {
            (volume.location.cluster, volume.pool_id)
            for volume in self._informers.volumes.values()
            if volume is not None and volume.location is not None and volume.pool_id is not None
        }
        self._names = {}
        for cluster, number in sorted(recorded):
            try:
                self._names[cluster, number] = (await self._clusters.get(cluster).get_pool_by_number(number)).name
            except PoolMissing:
                self._names[cluster, number] = None
            except CephError as error:
                _log.warning("could not read the pool's name", cluster=cluster, number=number, error=str(error))

    def locations(self) -> set[PoolLocation]:
        """Returns where the images of all classes and volumes are."""
        classes = [cached.parsed for cached in self._informers.classes.values() if cached.parsed is not None]
        found = {PoolLocation(cls.cluster, cls.pool, cls.namespace) for cls in classes}
        volumes = self._informers.volumes.values()
        return found | {location for volume in volumes if volume and (location := self._location(volume))}

    def expected(self, location: PoolLocation) -> dict[str, CachedVolume]:
        """Returns the volumes, by name, whose images are or should be at the location."""
        return {
            name: volume
            for name, volume in self._informers.volumes.items()
            if volume is not None
            and volume.location is not None
            and not volume.awaits_deletion
            and self._location(volume) == location
        }

    def is_deleted(self, volume: CachedVolume) -> bool:
        """Whether the volume's pool is known to be deleted."""
        if volume.location is None or volume.pool_id is None:
            return False
        return self._names.get((volume.location.cluster, volume.pool_id), "") is None

    def _location(self, volume: CachedVolume) -> PoolLocation | None:
        """Returns the location by the pool's present name."""
        location = volume.location
        if location is None:
            return None
        name = self._names.get((location.cluster, volume.pool_id)) if volume.pool_id is not None else None
        return PoolLocation(location.cluster, name or location.pool, location.namespace)
