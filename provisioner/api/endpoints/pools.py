"""Endpoints that list, create, show, change and delete pools."""

from provisioner.api import links, preconditions
from provisioner.api.authorization import Permission
from provisioner.api.backend import Backend, ImagePlace
from provisioner.api.endpoint import CHANGE_PROBLEMS, EndpointResult, Link, RequestContext, Result, endpoint
from provisioner.api.problem import ProblemError, ProblemKind, invalid_field
from provisioner.api.schemas.common import PoolPath
from provisioner.api.schemas.pools import NamespaceList, PoolCreate, PoolDelete, PoolList, PoolResponse, PoolUpdate
from provisioner.ceph import pool_admin, pool_survey
from provisioner.ceph.connection import Connection
from provisioner.ceph.pool_admin import PoolInfo, PoolSpec
from provisioner.ceph.pool_contents import PoolContents

_ETAG = {"ETag": "The version of the pool, for If-Match."}
_LINKS = tuple(
    Link(operation, {"pool": "$response.body#/name"})
    for operation in ("show_pool", "change_pool", "delete_pool", "list_images", "create_image", "list_trash")
)
_FORCE = Permission("pools", "force")
_LOST_HEADER = "Sutler-Lost"
_LONGEST_LOST_HEADER = 2000


class PoolEndpoints:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint("GET", "/pools", Permission("pools", "list"), {200: Result("All pools, ordered by name.", PoolList)})
    async def list_pools(self) -> EndpointResult:
        """List the pools."""
        found = await self._backend.cluster.run("list pools", pool_admin.list_pools)
        return EndpointResult(200, PoolList(pools=[PoolResponse.of(pool) for pool in found]))

    @endpoint(
        "POST",
        "/pools",
        Permission("pools", "create"),
        {
            201: Result(
                "The pool was created and is ready for images.",
                PoolResponse,
                {"Location": "Path of the pool.", **_ETAG},
                _LINKS,
            )
        },
        problems=(ProblemKind.TAKEN, ProblemKind.NO_SPACE),
    )
    async def create_pool(self, body: PoolCreate) -> EndpointResult:
        """Create a replicated pool, initialized for RBD images."""
        spec = PoolSpec(
            name=body.name,
            pg_num=body.pg_num,
            replicas=body.replicas,
            autoscale=body.autoscale,
            quota_bytes=body.quota.bytes,
            quota_objects=body.quota.objects,
        )

        def work(connection: Connection) -> PoolInfo:
            pool_admin.create(connection, spec)
            return pool_admin.get_pool(connection, body.name)

        created = await self._backend.change_pool("create pool", body.name, work)
        return EndpointResult(
            201, PoolResponse.of(created), {"Location": links.pool_path(created.name), **_etag(created)}
        )

    @endpoint("GET", "/pools/{pool}", Permission("pools", "get"), {200: Result("The pool.", PoolResponse, _ETAG)})
    async def show_pool(self, path: PoolPath) -> EndpointResult:
        """Show one pool."""
        found = await self._backend.cluster.run(
            "show pool", lambda connection: pool_admin.get_pool(connection, path.pool)
        )
        return EndpointResult(200, PoolResponse.of(found), _etag(found))

    @endpoint(
        "GET",
        "/pools/{pool}/namespaces",
        Permission("images", "list"),
        {200: Result("All RADOS namespaces, ordered by name.", NamespaceList)},
    )
    async def list_namespaces(self, path: PoolPath) -> EndpointResult:
        """List the RADOS namespaces for images in a pool."""
        place = ImagePlace(path.pool)
        found = await self._backend.read(
            "list namespaces", place, lambda c, _: pool_admin.list_namespaces(c, path.pool)
        )
        return EndpointResult(200, NamespaceList(namespaces=found))

    @endpoint(
        "PATCH",
        "/pools/{pool}",
        Permission("pools", "update"),
        {200: Result("The changed pool.", PoolResponse, _ETAG)},
        problems=(ProblemKind.CHANGED, ProblemKind.BUSY),
    )
    async def change_pool(self, path: PoolPath, body: PoolUpdate, context: RequestContext) -> EndpointResult:
        """Change a pool's quota."""

        def work(connection: Connection) -> PoolInfo:
            before = pool_admin.get_pool(connection, path.pool)
            preconditions.require_version(context, f"pool {path.pool}", _version(before))
            pool_admin.set_quota(connection, path.pool, body.quota.bytes, body.quota.objects)
            return pool_admin.get_pool(connection, path.pool)

        found = await self._backend.change_pool("change pool", path.pool, work)
        return EndpointResult(200, PoolResponse.of(found), _etag(found))

    @endpoint(
        "DELETE",
        "/pools/{pool}",
        Permission("pools", "delete"),
        {
            204: Result(
                "The pool was deleted with everything in it.",
                None,
                {_LOST_HEADER: "After a forced deletion: the former contents, in words."},
            )
        },
        problems=CHANGE_PROBLEMS,
    )
    async def delete_pool(self, path: PoolPath, query: PoolDelete, context: RequestContext) -> EndpointResult:
        """Delete a pool.

        `confirm` must repeat the name. A pool is kept unless it is proven to be empty and nothing depends on it: images
        of both formats, in every RADOS namespace and in the trash; data and parents of images of other pools; groups,
        journals, snapshots of the pool; objects of other applications; settings of Ceph that name it. The problem lists
        what is there, and what could not be verified.
        """
        if query.confirm != path.pool:
            raise invalid_field(
                "query/confirm", f"is {query.confirm}, not {path.pool}", accepted=f"confirm={path.pool}"
            )
        await preconditions.require_force(context, _FORCE, path.pool, force=query.force)
        seconds = self._backend.cluster.settings.timeout

        def work(connection: Connection) -> PoolContents:
            preconditions.require_version(
                context, f"pool {path.pool}", _version(pool_admin.get_pool(connection, path.pool))
            )
            if query.force:
                inside = pool_survey.survey(connection, path.pool, seconds=seconds, certain=False)
            else:
                inside = pool_survey.survey(connection, path.pool, seconds=2 * seconds)
                if not inside.proven_empty:
                    raise _in_use(inside)
            pool_admin.delete(connection, path.pool)
            return inside

        inside = await self._backend.change_pool("delete pool", path.pool, work)
        if inside.proven_empty:
            return EndpointResult(204)
        lost = inside.summary()
        # Headers carry ASCII only.
        shown = lost.encode("ascii", "backslashreplace").decode()[:_LONGEST_LOST_HEADER]
        return EndpointResult(204, None, {_LOST_HEADER: shown}, note=f"by force: {lost}")


def _in_use(inside: PoolContents) -> ProblemError:
    return ProblemError(ProblemKind.IN_USE, inside.refusal(), images=tuple(inside.images))


def _version(pool: PoolInfo) -> str:
    return preconditions.version_digest(
        pool.id, pool.name, pool.replicas, pool.pg_num, pool.autoscale, pool.quota_bytes, pool.quota_objects
    )


def _etag(pool: PoolInfo) -> dict[str, str]:
    return preconditions.etag(_version(pool))
