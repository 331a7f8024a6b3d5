"""Locates a volume's image. Pools and images can be renamed, and new ones created under the old names."""

from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.errors import CephError, ImageTaken, NamespaceMissing, PoolMissing
from provisioner.ceph.model import ImageQuery, RbdImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from sutler import well_known


async def locate_image(context: LeaderContext, request: VolumeRequest) -> tuple[RbdPool, RbdImage] | None:
    """Returns the volume's image and its pool; None if the image does not exist. Raises as `locate_pool`."""
    pool = await locate_pool(context, request)
    found = await pool.find(request.query(context.kubernetes)) if pool is not None else None
    return (pool, found) if pool is not None and found is not None else None


async def locate_pool(context: LeaderContext, request: VolumeRequest) -> RbdPool | None:
    """Returns the pool that has the image, if any does; None if the image was deleted with its pool.

    Raises ImageTaken if the image may be in another pool, and nothing proves that it is the volume's.
    """
    location, query = request.location, request.query(context.kubernetes)
    cluster = context.clusters.get(location.cluster)
    named = cluster.pool(location.pool, location.namespace)
    if request.pool_id is None:
        pool = await _by_number(cluster, named)
        if pool is not None and await pool.has_image(query):
            return pool
        return await _search_other_pools(cluster, request, pool, query)
    try:
        pool = await cluster.get_pool_by_number(request.pool_id, location.namespace)
    except PoolMissing:
        # Its images may have been copied to the pool that has its name now.
        return await _by_number(cluster, named) if await _is_successor(named, query) else None
    if pool.name == location.pool or not await _is_successor(named, query):
        return pool
    if await pool.find(query) is None:
        return await _by_number(cluster, named)
    raise ImageTaken(
        f"pool {location.pool} was renamed to {pool.name}, and both it and the pool of the old name have an image of "
        f"this volume. Nothing proves which one is a copy: remove the metadata {well_known.OWNER} of the copy "
        "(rbd image-meta remove)"
    )


async def _by_number(cluster: CephCluster, named: RbdPool) -> RbdPool | None:
    """Returns the same pool by its number, which stays valid if the pool is renamed; None if it does not exist."""
    try:
        return await cluster.get_pool_by_number(await named.number(), named.namespace)
    except PoolMissing:
        return None


async def _is_successor(named: RbdPool, query: ImageQuery) -> bool:
    """Whether the pool of the old name has the volume's image, after a migration or a manual copy."""
    try:
        return await named.find(query) is not None
    except (PoolMissing, NamespaceMissing, ImageTaken):
        return False


async def _search_other_pools(
    cluster: CephCluster, request: VolumeRequest, named: RbdPool | None, query: ImageQuery
) -> RbdPool | None:
    """Returns the named pool, unless another may have the image: the volume does not record its pool's number."""
    location, unreadable = request.location, ""
    for name in await cluster.list_pools():
        if name == location.pool:
            continue
        pool = cluster.pool(name, location.namespace)
        try:
            has_image = await pool.has_image(query)
        except NamespaceMissing:
            continue
        except CephError as error:
            unreadable = unreadable or str(error)
            continue
        if has_image:
            raise ImageTaken(
                f"pool {location.pool} does not {'exist' if named is None else 'have the image'}, and pool {name} has "
                "an image whose metadata names this volume's claim. If the pool was renamed, set annotation "
                f'{well_known.POOL_ID}: "{await pool.number()}" on the volume; if that image is a copy, remove its '
                f"metadata {well_known.OWNER} (rbd image-meta remove)"
            )
    if unreadable and named is None:
        raise ImageTaken(
            f"pool {location.pool} does not exist, and Sutler can't check whether it was renamed: {unreadable}. Set "
            f"annotation {well_known.POOL_ID} on the volume to the number that the pool has, or had"
        )
    return named
