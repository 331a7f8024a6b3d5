"""Pools: made, shown, limited, deleted."""

from provisioner.api import checks, locations
from provisioner.api.access import Right
from provisioner.api.backend import Backend, Place
from provisioner.api.endpoint import CHANGES, Answer, Ask, Link, Result, endpoint
from provisioner.api.problem import Kind, ProblemError, invalid
from provisioner.api.schemas.common import PoolPath
from provisioner.api.schemas.pools import NamespaceList, PoolChange, PoolDeletion, PoolList, PoolShown, PoolWanted
from provisioner.ceph import pools
from provisioner.ceph.connection import Connection
from provisioner.ceph.pools import PoolInfo, PoolSpec

_ETAG = {"ETag": "Its version, for If-Match."}
_LINKS = tuple(
    Link(operation, {"pool": "$response.body#/name"})
    for operation in ("show_pool", "change_pool", "delete_pool", "list_images", "create_image", "list_trash")
)
_FORCE = Right("pools", "force")


class Pools:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint("GET", "/pools", Right("pools", "list"), {200: Result("All pools, by name.", PoolList)})
    async def list_pools(self) -> Answer:
        """List the pools."""
        found = await self._backend.cluster.run("list pools", pools.listing)
        return Answer(200, PoolList(pools=[PoolShown.of(pool) for pool in found]))

    @endpoint(
        "POST",
        "/pools",
        Right("pools", "create"),
        {
            201: Result(
                "It is made and ready for images.", PoolShown, {"Location": "Path of the pool.", **_ETAG}, _LINKS
            )
        },
        problems=(Kind.TAKEN, Kind.NO_SPACE),
    )
    async def create_pool(self, body: PoolWanted) -> Answer:
        """Make a replicated pool, initialised for RBD images."""
        spec = PoolSpec(
            name=body.name,
            pg_num=body.pg_num,
            replicas=body.replicas,
            autoscale=body.autoscale,
            quota_bytes=body.quota.bytes,
            quota_objects=body.quota.objects,
        )

        def work(connection: Connection) -> PoolInfo:
            pools.create(connection, spec)
            return pools.show(connection, body.name)

        made = await self._backend.pool_change("create pool", body.name, work)
        return Answer(201, PoolShown.of(made), {"Location": locations.pool(made.name), **_etag(made)})

    @endpoint(
        "GET",
        "/pools/{pool}",
        Right("pools", "get"),
        {200: Result("The pool.", PoolShown, _ETAG)},
        problems=(Kind.NOT_FOUND,),
    )
    async def show_pool(self, path: PoolPath) -> Answer:
        """Show one pool."""
        found = await self._backend.cluster.run("show pool", lambda connection: pools.show(connection, path.pool))
        return Answer(200, PoolShown.of(found), _etag(found))

    @endpoint(
        "GET",
        "/pools/{pool}/namespaces",
        Right("images", "list"),
        {200: Result("All of them, by name.", NamespaceList)},
        problems=(Kind.NOT_FOUND,),
    )
    async def list_namespaces(self, path: PoolPath) -> Answer:
        """List the RADOS namespaces for images in a pool."""
        place = Place(path.pool)
        found = await self._backend.read("list namespaces", place, lambda c, _: pools.namespaces(c, path.pool))
        return Answer(200, NamespaceList(namespaces=found))

    @endpoint(
        "PATCH",
        "/pools/{pool}",
        Right("pools", "update"),
        {200: Result("The pool as it is now.", PoolShown, _ETAG)},
        problems=(Kind.NOT_FOUND, Kind.CHANGED, Kind.BUSY),
    )
    async def change_pool(self, path: PoolPath, body: PoolChange, ask: Ask) -> Answer:
        """Change a pool's quota."""

        def work(connection: Connection) -> PoolInfo:
            before = pools.show(connection, path.pool)
            checks.refuse_if_changed(ask, f"pool {path.pool}", _version(before))
            pools.set_quota(connection, path.pool, body.quota.bytes, body.quota.objects)
            return pools.show(connection, path.pool)

        found = await self._backend.pool_change("change pool", path.pool, work)
        return Answer(200, PoolShown.of(found), _etag(found))

    @endpoint(
        "DELETE",
        "/pools/{pool}",
        Right("pools", "delete"),
        {204: Result("It is gone, with all that was in it.")},
        problems=CHANGES,
    )
    async def delete_pool(self, path: PoolPath, query: PoolDeletion, ask: Ask) -> Answer:
        """Delete a pool.

        Its name has to be given twice. A pool with images is kept, and the refusal names them.
        """
        if query.confirm != path.pool:
            raise invalid("query/confirm", f"is {query.confirm}, not {path.pool}", accepted=f"confirm={path.pool}")
        await checks.require_force(ask, _FORCE, path.pool, force=query.force)

        def work(connection: Connection) -> None:
            checks.refuse_if_changed(ask, f"pool {path.pool}", _version(pools.show(connection, path.pool)))
            if not query.force:
                _refuse_if_full(path.pool, pools.contents(connection, path.pool))
            pools.delete(connection, path.pool)

        await self._backend.pool_change("delete pool", path.pool, work)
        return Answer(204)


def _refuse_if_full(name: str, inside: pools.Contents) -> None:
    if inside.count or inside.trashed:
        raise ProblemError(
            Kind.IN_USE,
            f"pool {name} is kept: images in it: {inside.count}, in the trash: {inside.trashed}; delete and purge them "
            "first, or use force=true, which needs the right to force pools.sutler.dev",
            images=inside.images,
        )


def _version(pool: PoolInfo) -> str:
    return checks.digest(
        pool.id, pool.name, pool.replicas, pool.pg_num, pool.autoscale, pool.quota_bytes, pool.quota_objects
    )


def _etag(pool: PoolInfo) -> dict[str, str]:
    return checks.etag(_version(pool))
