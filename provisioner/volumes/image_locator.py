"""Where a volume's image is now. Pools are renamed, too, and new ones made under the old names."""

from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.errors import CephError, ImageTaken, NamespaceMissing, PoolMissing
from provisioner.ceph.model import ImageQuery
from provisioner.ceph.pool import RbdPool
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from sutler.volumes import well_known


async def pool_of(clusters: CephClusters, wanted: VolumeRequest, kubernetes: str) -> RbdPool | None:
    """The pool that the image is in, if it is anywhere; None if it is gone with its pool.

    Raises ImageTaken where the image may be in another pool, and nothing proves that it is the volume's.
    """
    place, sought = wanted.place, wanted.sought(kubernetes)
    cluster = clusters.get(place.cluster)
    named = cluster.pool(place.pool, place.namespace)
    if wanted.pool_id is None:
        there = await _lasting(cluster, named)
        if there is not None and await there.holds(sought):
            return there
        return await _elsewhere(cluster, wanted, there, sought)
    try:
        pool = await cluster.pool_by_number(wanted.pool_id, place.namespace)
    except PoolMissing:
        # Its images may have been copied to the pool that has its name now.
        return await _lasting(cluster, named) if await _is_successor(named, sought) else None
    if pool.name == place.pool or not await _is_successor(named, sought):
        return pool
    if await pool.find(sought) is None:
        return await _lasting(cluster, named)
    raise ImageTaken(
        f"pool {place.pool} was renamed to {pool.name}, and both it and the pool of the old name have an image of this "
        f"volume: nothing proves which one is a copy; take the metadata {well_known.OWNER} off the copy "
        "(rbd image-meta remove)"
    )


async def _lasting(cluster: CephCluster, named: RbdPool) -> RbdPool | None:
    """The same pool, even if it is renamed meanwhile; None if there is none."""
    try:
        return await cluster.pool_by_number(await named.number(), named.namespace)
    except PoolMissing:
        return None


async def _is_successor(named: RbdPool, sought: ImageQuery) -> bool:
    """Whether the image in the pool of the old name is the volume's, after a migration or a copy by hand."""
    try:
        return await named.find(sought) is not None
    except (PoolMissing, NamespaceMissing, ImageTaken):
        return False


async def _elsewhere(
    cluster: CephCluster, wanted: VolumeRequest, there: RbdPool | None, sought: ImageQuery
) -> RbdPool | None:
    """For a volume that does not say its pool's number: the pool of the name, unless another one may have the image."""
    place, unseen = wanted.place, ""
    for name in await cluster.pools():
        if name == place.pool:
            continue
        pool = cluster.pool(name, place.namespace)
        try:
            held = await pool.holds(sought)
        except NamespaceMissing:
            continue
        except CephError as error:
            unseen = unseen or str(error)
            continue
        if held:
            raise ImageTaken(
                f"pool {place.pool} does not {'exist' if there is None else 'have the image'}, and pool {name} has one "
                "that is marked as this volume's. If the pool was renamed, say so on the volume with annotation "
                f'{well_known.POOL_ID}: "{await pool.number()}"; if that is a copy, take the metadata '
                f"{well_known.OWNER} off it (rbd image-meta remove)"
            )
    if unseen and there is None:
        raise ImageTaken(
            f"pool {place.pool} does not exist, and whether it was renamed can't be told: {unseen}. Say on the volume "
            f"with annotation {well_known.POOL_ID} which number the pool has, or had"
        )
    return there
