"""The trash of a pool: listed, restored from, purged."""

from typing import Any

from provisioner.api import checks, cursor, locations
from provisioner.api.access import Right
from provisioner.api.backend import Backend, Place, answered
from provisioner.api.endpoint import Answer, Ask, Result, endpoint
from provisioner.api.images import ACCEPTED, ETAG, FORCE, gone, shown
from provisioner.api.problem import Kind
from provisioner.api.schemas.common import InNamespace, Paged, PoolPath, TrashPath
from provisioner.api.schemas.images import Purge, Restoration
from provisioner.api.schemas.shown import ImageDetails, TrashList, TrashShown
from provisioner.ceph import details, trashcan
from provisioner.ceph.connection import Connection
from provisioner.ceph.details import Details
from provisioner.ceph.progress import Progress
from provisioner.ceph.trashcan import Thrown


class Trash:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint(
        "GET",
        "/pools/{pool}/trash",
        Right("images", "list"),
        {200: Result("One page, by identifier.", TrashList)},
        problems=(Kind.NOT_FOUND,),
    )
    async def list_trash(self, path: PoolPath, query: Paged) -> Answer:
        """List what is in the trash of a pool, page by page."""
        place = Place(path.pool, query.namespace)
        after = cursor.read(query.cursor) if query.cursor else ""

        def work(_: Connection, ioctx: Any) -> list[Thrown]:
            return trashcan.listing(ioctx, after, query.limit)

        found = await self._backend.read("list trash", place, work)
        following = cursor.after(found[-1].id) if len(found) == query.limit else None
        running = self._backend.operations.is_running
        entries = [TrashShown.of(one, running) for one in found]
        return Answer(200, TrashList(entries=entries, next_cursor=following))

    @endpoint(
        "POST",
        "/pools/{pool}/trash/{id}/restore",
        Right("images", "create"),
        {200: Result("The image is back.", ImageDetails, {"Location": "Path of the image.", **ETAG})},
        problems=(Kind.NOT_FOUND, Kind.TAKEN, Kind.NO_SPACE),
    )
    async def restore_image(self, path: TrashPath, query: InNamespace, body: Restoration) -> Answer:
        """Take an image out of the trash."""
        place = Place(path.pool, query.namespace)

        def work(connection: Connection, ioctx: Any) -> Details:
            return details.show(connection, ioctx, trashcan.restore(ioctx, path.id, body.name))

        found = await self._backend.change("restore image", place, path.id, work)
        headers = {"Location": locations.image(place, found.entry.name), **checks.etag(found.header.version)}
        return Answer(200, shown(self._backend, place, found), headers)

    @endpoint(
        "DELETE",
        "/pools/{pool}/trash/{id}",
        Right("images", "delete"),
        {204: Result("It is gone for ever."), 202: ACCEPTED},
        problems=(Kind.NOT_FOUND, Kind.IN_USE, Kind.NO_SPACE),
    )
    async def purge_image(self, path: TrashPath, query: Purge, ask: Ask) -> Answer:
        """Remove an image from the trash, with its data. Before its time is up only by force."""
        place = Place(path.pool, query.namespace)
        await checks.require_force(ask, FORCE, path.pool, force=query.force)

        def prepare(connection: Connection, ioctx: Any) -> Thrown:
            return trashcan.check_purgeable(connection, ioctx, path.id, force=query.force)

        def work(connection: Connection, ioctx: Any, entry: Thrown, operation: str, progress: Progress) -> None:
            trashcan.purge(connection, ioctx, entry, progress, operation)

        operation = await self._backend.run_long(ask, "purge", place, path.id, prepare=prepare, work=work)
        return await answered(operation, ask, gone)
