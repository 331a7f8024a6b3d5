"""Snapshots: listed, made, protected, rolled back to, cloned, deleted."""

from typing import Any

from provisioner.api import checks, locations
from provisioner.api.access import Right
from provisioner.api.backend import Backend, Place, answered
from provisioner.api.endpoint import CHANGES, Answer, Ask, Link, Result, endpoint
from provisioner.api.images import ACCEPTED, ETAG, FORCE, created, shown
from provisioner.api.problem import Kind, ProblemError
from provisioner.api.schemas.common import Forced, ImagePath, InNamespace, SnapshotPath
from provisioner.api.schemas.images import CloneWanted, SnapshotChange, SnapshotWanted
from provisioner.api.schemas.shown import ImageDetails, SnapshotList, SnapshotShown
from provisioner.ceph import details, snapshots
from provisioner.ceph.connection import Connection
from provisioner.ceph.details import Details
from provisioner.ceph.headers import Header
from provisioner.ceph.progress import Progress

_PARAMETERS = {
    "pool": "$request.path.pool",
    "image": "$request.path.image",
    "snapshot": "$response.body#/name",
}
_LINKS = tuple(
    Link(operation, _PARAMETERS)
    for operation in ("show_snapshot", "change_snapshot", "delete_snapshot", "rollback_image", "clone_snapshot")
)


class Snapshots:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint(
        "GET",
        "/pools/{pool}/images/{image}/snapshots",
        Right("images", "get"),
        {200: Result("All of them, the oldest first.", SnapshotList)},
        problems=(Kind.NOT_FOUND,),
    )
    async def list_snapshots(self, path: ImagePath, query: InNamespace) -> Answer:
        """List the snapshots of an image."""
        place = Place(path.pool, query.namespace)
        found = await self._backend.read("list snapshots", place, lambda _, ioctx: snapshots.listing(ioctx, path.image))
        return Answer(200, SnapshotList(snapshots=[SnapshotShown.of(one) for one in found]))

    @endpoint(
        "POST",
        "/pools/{pool}/images/{image}/snapshots",
        Right("images", "update"),
        {201: Result("It is made.", SnapshotShown, {"Location": "Path of the snapshot."}, _LINKS)},
        problems=(*CHANGES, Kind.TAKEN),
    )
    async def create_snapshot(self, path: ImagePath, query: InNamespace, body: SnapshotWanted, ask: Ask) -> Answer:
        """Make a snapshot of an image, of a claim's as well."""
        place = Place(path.pool, query.namespace)
        guard = checks.guard(ask, path.image, force=False, protects_claims=False)

        def work(_: Connection, ioctx: Any) -> SnapshotShown:
            snapshots.create(ioctx, path.image, body.name, guard)
            return SnapshotShown.of(snapshots.require(ioctx, path.image, body.name))

        made = await self._backend.change("create snapshot", place, path.image, work)
        return Answer(201, made, {"Location": locations.image(place, path.image, "snapshots", body.name)})

    @endpoint(
        "GET",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}",
        Right("images", "get"),
        {200: Result("The snapshot.", SnapshotShown)},
        problems=(Kind.NOT_FOUND,),
    )
    async def show_snapshot(self, path: SnapshotPath, query: InNamespace) -> Answer:
        """Show one snapshot, with its clones."""
        place = Place(path.pool, query.namespace)

        def work(_: Connection, ioctx: Any) -> SnapshotShown:
            return SnapshotShown.of(snapshots.require(ioctx, path.image, path.snapshot))

        return Answer(200, await self._backend.read("show snapshot", place, work))

    @endpoint(
        "PATCH",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}",
        Right("images", "update"),
        {200: Result("The snapshot as it is now.", SnapshotShown)},
        problems=CHANGES,
    )
    async def change_snapshot(self, path: SnapshotPath, query: InNamespace, body: SnapshotChange, ask: Ask) -> Answer:
        """Protect a snapshot, or protect it no longer."""
        place = Place(path.pool, query.namespace)
        guard = checks.guard(ask, path.image, force=False, protects_claims=False)

        def work(_: Connection, ioctx: Any) -> SnapshotShown:
            snapshots.protect(ioctx, path.image, path.snapshot, guard, protected=body.protected)
            return SnapshotShown.of(snapshots.require(ioctx, path.image, path.snapshot))

        return Answer(200, await self._backend.change("change snapshot", place, path.image, work))

    @endpoint(
        "DELETE",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}",
        Right("images", "delete"),
        {204: Result("It is gone.")},
        problems=CHANGES,
    )
    async def delete_snapshot(self, path: SnapshotPath, query: InNamespace, ask: Ask) -> Answer:
        """Delete a snapshot. One that is protected or has clones is kept."""
        place = Place(path.pool, query.namespace)
        guard = checks.guard(ask, path.image, force=False, protects_claims=False)

        def work(_: Connection, ioctx: Any) -> None:
            snapshots.delete(ioctx, path.image, path.snapshot, guard)

        await self._backend.change("delete snapshot", place, path.image, work)
        return Answer(204)

    @endpoint(
        "POST",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}/rollback",
        Right("images", "update"),
        {200: Result("The image is what it was.", ImageDetails, ETAG), 202: ACCEPTED},
        problems=CHANGES,
    )
    async def rollback_image(self, path: SnapshotPath, query: Forced, ask: Ask) -> Answer:
        """Roll an image back to a snapshot.

        What was written since is lost. Stopped half-way it leaves an image that is neither the old nor the new, which
        says so and wants to be rolled back again.
        """
        place = Place(path.pool, query.namespace)
        await checks.require_force(ask, FORCE, path.pool, force=query.force)
        guard = checks.guard(ask, path.image, force=query.force)

        def prepare(connection: Connection, ioctx: Any) -> Header:
            return snapshots.check_rollback(connection, ioctx, path.image, path.snapshot, guard)

        def work(_: Connection, ioctx: Any, found: Header, operation: str, __: Progress) -> None:
            snapshots.rollback(ioctx, path.image, found, path.snapshot, operation)

        async def finished() -> Answer:
            found = await self._backend.read("show image", place, lambda c, ioctx: details.show(c, ioctx, path.image))
            return Answer(200, shown(self._backend, place, found), checks.etag(found.header.version))

        operation = await self._backend.run_long(ask, "rollback", place, path.image, prepare=prepare, work=work)
        return await answered(operation, ask, finished)

    @endpoint(
        "POST",
        "/pools/{pool}/images/{image}/snapshots/{snapshot}/clone",
        Right("images", "create"),
        {201: Result("The clone is made.", ImageDetails, {"Location": "Path of the clone.", **ETAG})},
        problems=(*CHANGES, Kind.TAKEN),
    )
    async def clone_snapshot(self, path: SnapshotPath, query: InNamespace, body: CloneWanted, ask: Ask) -> Answer:
        """Clone a snapshot. It gets protected where this Ceph's clones need that."""
        parent = Place(path.pool, query.namespace)
        child = _child(parent, body)
        if child.pool != parent.pool and not await ask.may(Right("images", "create"), child.pool):
            raise ProblemError(Kind.FORBIDDEN, f"{ask.user.name} has no right to create images in pool {child.pool}")
        guard = checks.guard(ask, path.image, force=False, protects_claims=False)

        def work(connection: Connection, ioctx: Any) -> Details:
            details.require_data_pool(connection, body.data_pool)
            target = details.require_place(connection, child.pool, child.namespace)
            spec = body.spec(body.name, 0)
            snapshots.clone(ioctx, path.image, path.snapshot, target, spec, guard=guard)
            return details.show(connection, target, body.name)

        return created(self._backend, child, await self._backend.change("clone snapshot", parent, path.image, work))


def _child(parent: Place, body: CloneWanted) -> Place:
    pool = body.pool or parent.pool
    inherited = parent.namespace if pool == parent.pool else ""
    return Place(pool, inherited if body.namespace is None else body.namespace)
