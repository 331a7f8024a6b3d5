"""Pools: made, shown, limited, deleted."""

from provisioner.api import checks, locations
from provisioner.api.access import Right
from provisioner.api.backend import Backend, Place
from provisioner.api.endpoint import CHANGES, Answer, Ask, Link, Result, endpoint
from provisioner.api.problem import Kind, ProblemError, invalid
from provisioner.api.schemas.common import PoolPath
from provisioner.api.schemas.pools import NamespaceList, PoolChange, PoolDeletion, PoolList, PoolShown, PoolWanted
from provisioner.ceph import pools, survey
from provisioner.ceph.connection import Connection
from provisioner.ceph.contents import Contents
from provisioner.ceph.pools import PoolInfo, PoolSpec

_ETAG = {"ETag": "Its version, for If-Match."}
_LINKS = tuple(
    Link(operation, {"pool": "$response.body#/name"})
    for operation in ("show_pool", "change_pool", "delete_pool", "list_images", "create_image", "list_trash")
)
_FORCE = Right("pools", "force")
_LOST = "Sutler-Lost"
_LONGEST_LOST = 2000


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
        {204: Result("It is gone, with all that was in it.", None, {_LOST: "By force: what was in it, in words."})},
        problems=CHANGES,
    )
    async def delete_pool(self, path: PoolPath, query: PoolDeletion, ask: Ask) -> Answer:
        """Delete a pool.

        Its name has to be given twice. A pool is kept unless it is proven that nothing is in it and nothing depends on
        it: images of both formats, in every RADOS namespace and in the trash; data and parents of images of other
        pools; groups, journals, snapshots of the pool; objects of other applications; what names it in Ceph. The
        refusal says what is there, or what could not be looked at.
        """
        if query.confirm != path.pool:
            raise invalid("query/confirm", f"is {query.confirm}, not {path.pool}", accepted=f"confirm={path.pool}")
        await checks.require_force(ask, _FORCE, path.pool, force=query.force)
        seconds = self._backend.cluster.settings.timeout

        def work(connection: Connection) -> Contents:
            checks.refuse_if_changed(ask, f"pool {path.pool}", _version(pools.show(connection, path.pool)))
            if query.force:
                inside = survey.look(connection, path.pool, seconds=seconds, certain=False)
            else:
                inside = survey.look(connection, path.pool, seconds=2 * seconds)
                if not inside.proven_empty:
                    raise _refused(inside)
            pools.delete(connection, path.pool)
            return inside

        inside = await self._backend.pool_change("delete pool", path.pool, work)
        if inside.proven_empty:
            return Answer(204)
        lost = inside.text()
        # What a header can carry.
        shown = lost.encode("ascii", "backslashreplace").decode()[:_LONGEST_LOST]
        return Answer(204, None, {_LOST: shown}, note=f"by force: {lost}")


def _refused(inside: Contents) -> ProblemError:
    return ProblemError(Kind.IN_USE, inside.refusal(), images=tuple(inside.images))


def _version(pool: PoolInfo) -> str:
    return checks.digest(
        pool.id, pool.name, pool.replicas, pool.pg_num, pool.autoscale, pool.quota_bytes, pool.quota_objects
    )


def _etag(pool: PoolInfo) -> dict[str, str]:
    return checks.etag(_version(pool))
