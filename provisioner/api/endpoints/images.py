"""Endpoints that list, create, show, resize, rename, delete and flatten images."""

from typing import Any
from urllib.parse import urlencode

from provisioner.api import links, preconditions
from provisioner.api.authorization import Permission
from provisioner.api.backend import Backend, ImagePlace, finish_or_accept
from provisioner.api.endpoint import CHANGE_PROBLEMS, EndpointResult, Link, RequestContext, Result, endpoint
from provisioner.api.problem import ProblemKind, invalid_field
from provisioner.api.schemas.common import Forced, ImagePath, InNamespace, PoolPath
from provisioner.api.schemas.images import (
    ImageCreate,
    ImageDelete,
    ImageDetails,
    ImageList,
    ImageListQuery,
    ImageResponse,
    ImageUpdate,
    MirroringResponse,
    image_fields,
)
from provisioner.api.schemas.operations import OperationResponse
from provisioner.api.schemas.snapshots import OtherSnapshotResponse, SnapshotResponse
from provisioner.ceph import directory, editing, image_details, placement, trash
from provisioner.ceph.connection import Connection
from provisioner.ceph.editing import Guard
from provisioner.ceph.image_details import ImageDetailsRead
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.removal_progress import ReportProgress

_FROM_POOL = {"pool": "$request.path.pool", "image": "$response.body#/name"}
IMAGE_LINKS = tuple(
    Link(operation, _FROM_POOL)
    for operation in (
        "show_image",
        "change_image",
        "delete_image",
        "list_snapshots",
        "create_snapshot",
        "flatten_image",
    )
)
ETAG = {"ETag": "The version of the image, for If-Match."}
ACCEPTED = Result(
    "The operation is still running: poll it at Location.",
    OperationResponse,
    {"Location": "Path of the operation.", "Retry-After": "Seconds."},
    tuple(Link(name, {"id": "$response.body#/id"}) for name in ("show_operation", "cancel_operation")),
)
FORCE = Permission("images", "force")


async def no_content() -> EndpointResult:
    return EndpointResult(204)


class ImageEndpoints:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint(
        "GET",
        "/pools/{pool}/images",
        Permission("images", "list"),
        {200: Result("One page, ordered by name.", ImageList, {"Link": "The next page, with rel=next."})},
    )
    async def list_images(self, path: PoolPath, query: ImageListQuery) -> EndpointResult:
        """List the images of a pool, page by page."""
        place = ImagePlace(path.pool, query.namespace)
        after = links.decode_cursor(query.cursor) if query.cursor else ""

        def work(connection: Connection, ioctx: Any) -> list[ImageResponse]:
            found = directory.list_page(ioctx, query.prefix, after, query.limit)
            numbers = {one.header.data_pool for one in found if one.header}
            pools = {number: image_details.pool_name(connection, number) for number in numbers}
            running, where = self._backend.operations.is_running, (place.pool, ioctx.get_pool_id())
            return [ImageResponse.of(one, where, place.namespace, pools.get(one.data_pool), running) for one in found]

        shown = await self._backend.read("list images", place, work)
        if len(shown) < query.limit:
            return EndpointResult(200, ImageList(images=shown, next_cursor=None))
        following = links.encode_cursor(shown[-1].name)
        parameters = query.model_dump(exclude_defaults=True) | {"cursor": following}
        link = f'<{links.pool_path(path.pool)}/images?{urlencode(parameters)}>; rel="next"'
        return EndpointResult(200, ImageList(images=shown, next_cursor=following), {"Link": link})

    @endpoint(
        "POST",
        "/pools/{pool}/images",
        Permission("images", "create"),
        {201: Result("The image was created.", ImageDetails, {"Location": "Path of the image.", **ETAG}, IMAGE_LINKS)},
        problems=(ProblemKind.TAKEN, ProblemKind.NO_SPACE),
        minimal=True,
    )
    async def create_image(
        self, path: PoolPath, query: InNamespace, body: ImageCreate, context: RequestContext
    ) -> EndpointResult:
        """Create an image."""
        place = ImagePlace(path.pool, query.namespace)

        def work(connection: Connection, _: Any) -> ImageDetailsRead | None:
            image_details.require_data_pool(connection, body.data_pool)
            wanted = body.spec(body.name, body.size)
            ioctx, spec = placement.prepare_creation(connection, place.pool, place.namespace, wanted)
            identifier = editing.create(ioctx, spec)
            return None if context.minimal else image_details.read_new(connection, ioctx, body.name, identifier)

        created = await self._backend.change("create image", place, body.name, work)
        if created is None:
            return EndpointResult(201, None, {"Location": links.image_path(place, body.name)})
        return created_result(self._backend, place, created)

    @endpoint(
        "GET",
        "/pools/{pool}/images/{image}",
        Permission("images", "get"),
        {200: Result("The image.", ImageDetails, ETAG)},
    )
    async def show_image(self, path: ImagePath, query: InNamespace) -> EndpointResult:
        """Show one image, with watchers, snapshots, parent and metadata."""
        return await show_image(self._backend, ImagePlace(path.pool, query.namespace), path.image)

    @endpoint(
        "PATCH",
        "/pools/{pool}/images/{image}",
        Permission("images", "update"),
        {200: Result("The changed image.", ImageDetails, ETAG), 202: ACCEPTED},
        problems=CHANGE_PROBLEMS,
    )
    async def change_image(
        self, path: ImagePath, query: Forced, body: ImageUpdate, context: RequestContext
    ) -> EndpointResult:
        """Resize or rename an image.

        Growing takes no time. Shrinking needs `"shrink": true`, destroys the data behind the new end, and may take
        long; the same request cannot rename the image.
        """
        place = ImagePlace(path.pool, query.namespace)
        await preconditions.require_force(context, FORCE, path.pool, force=query.force)
        guard = preconditions.image_guard(context, path.image, force=query.force)
        size, new = body.size, body.name
        if size is not None and body.shrink:
            if new is not None:
                raise invalid_field("body/name", "cannot be combined with shrink", accepted="two requests")
            return await self._shrink(context, place, path.image, guard, size)

        def work(_: Connection, ioctx: Any) -> None:
            if new is not None:
                editing.require_name_free(ioctx, new)
            if size is not None:
                editing.grow(ioctx, path.image, size, guard)
            if new is not None:
                after_growing = guard if size is None else Guard()
                editing.rename(ioctx, path.image, new, after_growing)

        await self._backend.change("change image", place, path.image, work)
        return await show_image(self._backend, place, new or path.image)

    @endpoint(
        "DELETE",
        "/pools/{pool}/images/{image}",
        Permission("images", "delete"),
        {204: Result("The image was deleted, or moved to the trash."), 202: ACCEPTED},
        problems=CHANGE_PROBLEMS,
    )
    async def delete_image(self, path: ImagePath, query: ImageDelete, context: RequestContext) -> EndpointResult:
        """Delete an image, or move it to the trash.

        An image with watchers, snapshots or clones is kept, and the problem names them. Deleting may take long. If it
        is interrupted, the incomplete image is in the trash, is marked there, and can only be purged.
        """
        if query.delay and not query.trash:
            raise invalid_field("query/delay", "applies to the trash only", accepted="trash=true, or no delay")
        place = ImagePlace(path.pool, query.namespace)
        await preconditions.require_force(context, FORCE, path.pool, force=query.force)
        guard = preconditions.image_guard(context, path.image, force=query.force)
        if query.trash:
            await self._backend.change(
                "trash image",
                place,
                path.image,
                lambda _, ioctx: trash.move_to_trash(ioctx, path.image, guard, query.delay),
            )
            return EndpointResult(204)

        def prepare(connection: Connection, ioctx: Any) -> ImageHeader | None:
            return editing.check_removable(connection, ioctx, path.image, guard)

        def work(
            connection: Connection, ioctx: Any, found: ImageHeader | None, operation: str, progress: ReportProgress
        ) -> None:
            editing.remove(connection, ioctx, path.image, found, progress, operation=operation)

        operation = await self._backend.run_long(context, "remove", place, path.image, prepare=prepare, work=work)
        return await finish_or_accept(operation, context, no_content)

    @endpoint(
        "POST",
        "/pools/{pool}/images/{image}/flatten",
        Permission("images", "update"),
        {200: Result("The image, without a parent.", ImageDetails, ETAG), 202: ACCEPTED},
        problems=CHANGE_PROBLEMS,
    )
    async def flatten_image(self, path: ImagePath, query: InNamespace, context: RequestContext) -> EndpointResult:
        """Flatten a clone: copy the data that it shares with its parent, and detach it."""
        place = ImagePlace(path.pool, query.namespace)
        guard = preconditions.image_guard(context, path.image, force=False, protects_claims=False)

        def work(_: Connection, ioctx: Any, __: ImageHeader, ___: str, progress: ReportProgress) -> None:
            editing.flatten(ioctx, path.image, progress)

        def prepare(_: Connection, ioctx: Any) -> ImageHeader:
            return editing.check_flattenable(ioctx, path.image, guard)

        operation = await self._backend.run_long(context, "flatten", place, path.image, prepare=prepare, work=work)
        return await finish_or_accept(operation, context, lambda: show_image(self._backend, place, path.image))

    async def _shrink(
        self, context: RequestContext, place: ImagePlace, name: str, guard: Guard, size: int
    ) -> EndpointResult:
        def prepare(connection: Connection, ioctx: Any) -> ImageHeader:
            return editing.check_shrinkable(connection, ioctx, name, size, guard)

        def work(_: Connection, ioctx: Any, found: ImageHeader, operation: str, progress: ReportProgress) -> None:
            editing.shrink(ioctx, name, found, size, progress, operation=operation)

        operation = await self._backend.run_long(context, "shrink", place, name, prepare=prepare, work=work)
        return await finish_or_accept(operation, context, lambda: show_image(self._backend, place, name))


async def show_image(backend: Backend, place: ImagePlace, name: str) -> EndpointResult:
    found = await backend.read("show image", place, lambda c, ioctx: image_details.read(c, ioctx, name))
    return EndpointResult(200, image_response(backend, place, found), preconditions.etag(found.header.version))


def image_response(backend: Backend, place: ImagePlace, found: ImageDetailsRead) -> ImageDetails:
    where, mirroring = (place.pool, found.pool), found.mirroring
    return ImageDetails.model_validate(
        image_fields(found.entry, where, place.namespace, found.data_pool, running=backend.operations.is_running)
        | {
            "watchers": list(found.watchers),
            "snapshots": [SnapshotResponse.model_validate(snapshot) for snapshot in found.snapshots],
            "other_snapshots": [OtherSnapshotResponse.model_validate(snapshot) for snapshot in found.other_snapshots],
            "parent": found.parent,
            "mirroring": MirroringResponse.model_validate(mirroring) if mirroring is not None else None,
            "metadata": dict(found.header.metadata),
        }
    )


def created_result(backend: Backend, place: ImagePlace, created: ImageDetailsRead) -> EndpointResult:
    location = links.image_path(place, created.entry.name)
    return EndpointResult(
        201,
        image_response(backend, place, created),
        {"Location": location, **preconditions.etag(created.header.version)},
    )
