"""Endpoints that list, restore and purge images in the trash."""

from typing import Any

from provisioner.api import links, preconditions
from provisioner.api.authorization import Permission
from provisioner.api.backend import Backend, ImagePlace, finish_or_accept
from provisioner.api.endpoint import EndpointResult, RequestContext, Result, endpoint
from provisioner.api.endpoints.images import ACCEPTED, ETAG, FORCE, image_response, no_content
from provisioner.api.problem import ProblemKind
from provisioner.api.schemas.common import InNamespace, Paged, PoolPath, TrashPath
from provisioner.api.schemas.images import ImageDetails
from provisioner.api.schemas.trash import TrashEntryResponse, TrashList, TrashPurge, TrashRestore
from provisioner.ceph import image_details, trash
from provisioner.ceph.connection import Connection
from provisioner.ceph.image_details import ImageDetailsRead
from provisioner.ceph.removal_progress import ReportProgress
from provisioner.ceph.trash_entry import TrashEntry


class TrashEndpoints:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint(
        "GET",
        "/pools/{pool}/trash",
        Permission("images", "list"),
        {200: Result("One page, ordered by identifier.", TrashList)},
    )
    async def list_trash(self, path: PoolPath, query: Paged) -> EndpointResult:
        """List the images in the trash of a pool, page by page."""
        place = ImagePlace(path.pool, query.namespace)
        after = links.decode_cursor(query.cursor) if query.cursor else ""

        def work(_: Connection, ioctx: Any) -> list[TrashEntry]:
            return trash.list_entries(ioctx, after, query.limit)

        found = await self._backend.read("list trash", place, work)
        following = links.encode_cursor(found[-1].id) if len(found) == query.limit else None
        running = self._backend.operations.is_running
        entries = [TrashEntryResponse.of(one, running) for one in found]
        return EndpointResult(200, TrashList(entries=entries, next_cursor=following))

    @endpoint(
        "POST",
        "/pools/{pool}/trash/{id}/restore",
        Permission("images", "create"),
        {200: Result("The image was restored.", ImageDetails, {"Location": "Path of the image.", **ETAG})},
        problems=(ProblemKind.TAKEN, ProblemKind.NO_SPACE),
    )
    async def restore_image(self, path: TrashPath, query: InNamespace, body: TrashRestore) -> EndpointResult:
        """Restore an image from the trash."""
        place = ImagePlace(path.pool, query.namespace)

        def work(connection: Connection, ioctx: Any) -> ImageDetailsRead:
            return image_details.read(connection, ioctx, trash.restore(ioctx, path.id, body.name))

        found = await self._backend.change("restore image", place, path.id, work)
        headers = {
            "Location": links.image_path(place, found.entry.name),
            **preconditions.etag(found.header.version),
        }
        return EndpointResult(200, image_response(self._backend, place, found), headers)

    @endpoint(
        "DELETE",
        "/pools/{pool}/trash/{id}",
        Permission("images", "delete"),
        {204: Result("The image was deleted permanently."), 202: ACCEPTED},
        problems=(ProblemKind.IN_USE, ProblemKind.NO_SPACE),
    )
    async def purge_image(self, path: TrashPath, query: TrashPurge, context: RequestContext) -> EndpointResult:
        """Delete an image in the trash, with its data. Before its time, this needs force."""
        place = ImagePlace(path.pool, query.namespace)
        await preconditions.require_force(context, FORCE, path.pool, force=query.force)

        def prepare(connection: Connection, ioctx: Any) -> TrashEntry:
            return trash.check_purgeable(connection, ioctx, path.id, force=query.force)

        def work(
            connection: Connection, ioctx: Any, entry: TrashEntry, operation: str, progress: ReportProgress
        ) -> None:
            trash.purge(connection, ioctx, entry, progress, operation)

        operation = await self._backend.run_long(context, "purge", place, path.id, prepare=prepare, work=work)
        return await finish_or_accept(operation, context, no_content)
