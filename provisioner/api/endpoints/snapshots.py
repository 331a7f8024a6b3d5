"""Endpoints that list, create, protect, roll back to, clone and delete snapshots."""

from typing import Any

from provisioner.api import links, preconditions
from provisioner.api.authorization import Permission
from provisioner.api.backend import Backend, ImagePlace, finish_or_accept
from provisioner.api.endpoint import CHANGE_PROBLEMS, EndpointResult, Link, RequestContext, Result, endpoint
from provisioner.api.endpoints.images import ACCEPTED, ETAG, FORCE, created_result, show_image
from provisioner.api.problem import ProblemError, ProblemKind
from provisioner.api.schemas.common import Forced, ImagePath, InNamespace, SnapshotPath
from provisioner.api.schemas.images import CloneCreate, ImageDetails
from provisioner.api.schemas.snapshots import SnapshotCreate, SnapshotList, SnapshotResponse, SnapshotUpdate
from provisioner.ceph import image_details, snapshots
from provisioner.ceph.connection import Connection
from provisioner.ceph.image_details import ImageDetailsRead
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.removal_progress import ReportProgress

_PARAMETERS = {
    "pool": "$request.path.pool",
    "image": "$request.path.image",
    "snapshot": "$response.body#/name",
}
_LINKS = tuple(
    Link(operation, _PARAMETERS)
    for operation in ("show_snapshot", "change_snapshot", "delete_snapshot", "rollback_image", "clone_snapshot")
)


class SnapshotEndpoints:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint(
        "GET",
        "/pools/{pool}/images/{image}/snapshots",
        Permission("images", "get"),
        {200: Result("All snapshots, oldest first.", SnapshotList)},
    )
    async def list_snapshots(self, path: ImagePath, query: InNamespace) -> EndpointResult:
        """List the snapshots of an image."""
        place = ImagePlace(path.pool, query.namespace)
        found = await self._backend.read(
            "list snapshots", place, lambda _, ioctx: snapshots.list_snapshots(ioctx, path.image)
        )
        return EndpointResult(200, SnapshotList(snapshots=[SnapshotResponse.model_validate(one) for one in found]))

    @endpoint(
        "POST",
        "/pools/{pool}/images/{image}/snapshots",
        Permission("images", "update"),
        {201: Result("The snapshot was created.", SnapshotResponse, {"Location": "Path of the snapshot."}, _LINKS)},
        problems=(*CHANGE_PROBLEMS, ProblemKind.TAKEN),
    )
    async def create_snapshot(
        self, path: ImagePath, query: InNamespace, body: SnapshotCreate, context: RequestContext
    ) -> EndpointResult:
        """Create a snapshot of an image, which may belong to a claim."""
        place = ImagePlace(path.pool, query.namespace)
        guard = preconditions.image_guard(context, path.image, force=False, protects_claims=False)

        def work(_: Connection, ioctx: Any) -> SnapshotResponse:
            snapshots.create(ioctx, path.image, body.name, guard)
            return SnapshotResponse.model_validate(snapshots.get_snapshot(ioctx, path.image, body.name))

        created = await self._backend.change("create snapshot", place, path.image, work)
        return EndpointResult(201, created, {"Location": links.image_path(place, path.image, "snapshots", body.name)})

    @endpoint(
        "GET",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}",
        Permission("images", "get"),
        {200: Result("The snapshot.", SnapshotResponse)},
    )
    async def show_snapshot(self, path: SnapshotPath, query: InNamespace) -> EndpointResult:
        """Show one snapshot, with its clones."""
        place = ImagePlace(path.pool, query.namespace)

        def work(_: Connection, ioctx: Any) -> SnapshotResponse:
            return SnapshotResponse.model_validate(snapshots.get_snapshot(ioctx, path.image, path.snapshot))

        return EndpointResult(200, await self._backend.read("show snapshot", place, work))

    @endpoint(
        "PATCH",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}",
        Permission("images", "update"),
        {200: Result("The changed snapshot.", SnapshotResponse)},
        problems=CHANGE_PROBLEMS,
    )
    async def change_snapshot(
        self, path: SnapshotPath, query: InNamespace, body: SnapshotUpdate, context: RequestContext
    ) -> EndpointResult:
        """Protect a snapshot, or end its protection."""
        place = ImagePlace(path.pool, query.namespace)
        guard = preconditions.image_guard(context, path.image, force=False, protects_claims=False)

        def work(_: Connection, ioctx: Any) -> SnapshotResponse:
            snapshots.set_protected(ioctx, path.image, path.snapshot, guard, protected=body.protected)
            return SnapshotResponse.model_validate(snapshots.get_snapshot(ioctx, path.image, path.snapshot))

        return EndpointResult(200, await self._backend.change("change snapshot", place, path.image, work))

    @endpoint(
        "DELETE",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}",
        Permission("images", "delete"),
        {204: Result("The snapshot was deleted.")},
        problems=CHANGE_PROBLEMS,
    )
    async def delete_snapshot(self, path: SnapshotPath, query: InNamespace, context: RequestContext) -> EndpointResult:
        """Delete a snapshot. A protected snapshot and one with clones are kept."""
        place = ImagePlace(path.pool, query.namespace)
        guard = preconditions.image_guard(context, path.image, force=False, protects_claims=False)

        def work(_: Connection, ioctx: Any) -> None:
            snapshots.delete(ioctx, path.image, path.snapshot, guard)

        await self._backend.change("delete snapshot", place, path.image, work)
        return EndpointResult(204)

    @endpoint(
        "POST",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}/rollback",
        Permission("images", "update"),
        {200: Result("The image was rolled back.", ImageDetails, ETAG), 202: ACCEPTED},
        problems=CHANGE_PROBLEMS,
    )
    async def rollback_image(self, path: SnapshotPath, query: Forced, context: RequestContext) -> EndpointResult:
        """Roll an image back to a snapshot.

        Data written since then is lost. An interrupted rollback leaves a mix of old and new data. The image is marked,
        and must be rolled back again.
        """
        place = ImagePlace(path.pool, query.namespace)
        await preconditions.require_force(context, FORCE, path.pool, force=query.force)
        guard = preconditions.image_guard(context, path.image, force=query.force)

        def prepare(connection: Connection, ioctx: Any) -> ImageHeader:
            return snapshots.check_rollback(connection, ioctx, path.image, path.snapshot, guard)

        def work(_: Connection, ioctx: Any, found: ImageHeader, operation: str, __: ReportProgress) -> None:
            snapshots.rollback(ioctx, path.image, found, path.snapshot, operation)

        operation = await self._backend.run_long(context, "rollback", place, path.image, prepare=prepare, work=work)
        return await finish_or_accept(operation, context, lambda: show_image(self._backend, place, path.image))

    @endpoint(
        "POST",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}/clone",
        Permission("images", "create"),
        {201: Result("The clone was created.", ImageDetails, {"Location": "Path of the clone.", **ETAG})},
        problems=(*CHANGE_PROBLEMS, ProblemKind.TAKEN),
    )
    async def clone_snapshot(
        self, path: SnapshotPath, query: InNamespace, body: CloneCreate, context: RequestContext
    ) -> EndpointResult:
        """Clone a snapshot. It is protected first if this Ceph cluster requires that."""
        parent = ImagePlace(path.pool, query.namespace)
        child = _clone_place(parent, body)
        if child.pool != parent.pool and not await context.is_allowed(Permission("images", "create"), child.pool):
            raise ProblemError(
                ProblemKind.FORBIDDEN, f"{context.user.name} has no permission to create images in pool {child.pool}"
            )
        guard = preconditions.image_guard(context, path.image, force=False, protects_claims=False)

        def work(connection: Connection, ioctx: Any) -> ImageDetailsRead:
            image_details.require_data_pool(connection, body.data_pool)
            target = image_details.require_target_pool(connection, child.pool, child.namespace)
            spec = body.spec(body.name, 0)
            snapshots.clone(ioctx, path.image, path.snapshot, target, spec, guard=guard)
            return image_details.read(connection, target, body.name)

        return created_result(
            self._backend, child, await self._backend.change("clone snapshot", parent, path.image, work)
        )


def _clone_place(parent: ImagePlace, body: CloneCreate) -> ImagePlace:
    pool = body.pool or parent.pool
    inherited = parent.namespace if pool == parent.pool else ""
    return ImagePlace(pool, inherited if body.namespace is None else body.namespace)
