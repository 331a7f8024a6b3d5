"""Images: listed, made, shown, resized, renamed, deleted, parted from their parents."""

from typing import Any
from urllib.parse import urlencode

from provisioner.api import checks, cursor, locations
from provisioner.api.access import Right
from provisioner.api.backend import Backend, Place, answered
from provisioner.api.endpoint import CHANGES, Answer, Ask, Link, Result, endpoint
from provisioner.api.problem import Kind, invalid
from provisioner.api.schemas.common import Forced, ImagePath, InNamespace, PoolPath
from provisioner.api.schemas.images import Deletion, ImageChange, ImageWanted, Listing
from provisioner.api.schemas.shown import (
    ImageDetails,
    ImageList,
    ImageShown,
    OperationShown,
    OtherSnapshotShown,
    SnapshotShown,
    fields,
)
from provisioner.ceph import details, directory, editing, placing, trashcan
from provisioner.ceph.connection import Connection
from provisioner.ceph.details import Details
from provisioner.ceph.editing import Guard
from provisioner.ceph.headers import Header
from provisioner.ceph.progress import Progress

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
ETAG = {"ETag": "Its version, for If-Match."}
ACCEPTED = Result(
    "It goes on for longer: ask there how far it is.",
    OperationShown,
    {"Location": "Path of the operation.", "Retry-After": "Seconds."},
    tuple(Link(name, {"id": "$response.body#/id"}) for name in ("show_operation", "cancel_operation")),
)
FORCE = Right("images", "force")


async def gone() -> Answer:
    return Answer(204)


class Images:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint(
        "GET",
        "/pools/{pool}/images",
        Right("images", "list"),
        {200: Result("One page, by name.", ImageList, {"Link": "The next page, with rel=next."})},
        problems=(Kind.NOT_FOUND,),
    )
    async def list_images(self, path: PoolPath, query: Listing) -> Answer:
        """List the images of a pool, page by page."""
        place = Place(path.pool, query.namespace)
        after = cursor.read(query.cursor) if query.cursor else ""

        def work(connection: Connection, ioctx: Any) -> list[ImageShown]:
            found = directory.page(ioctx, query.prefix, after, query.limit)
            numbers = {one.header.data_pool for one in found if one.header}
            pools = {number: details.pool_name(connection, number) for number in numbers}
            running = self._backend.operations.is_running
            return [ImageShown.of(one, place.pool, place.namespace, pools.get(one.data_pool), running) for one in found]

        shown = await self._backend.read("list images", place, work)
        if len(shown) < query.limit:
            return Answer(200, ImageList(images=shown, next_cursor=None))
        following = cursor.after(shown[-1].name)
        parameters = query.model_dump(exclude_defaults=True) | {"cursor": following}
        link = f'<{locations.pool(path.pool)}/images?{urlencode(parameters)}>; rel="next"'
        return Answer(200, ImageList(images=shown, next_cursor=following), {"Link": link})

    @endpoint(
        "POST",
        "/pools/{pool}/images",
        Right("images", "create"),
        {201: Result("It is made.", ImageDetails, {"Location": "Path of the image.", **ETAG}, IMAGE_LINKS)},
        problems=(Kind.NOT_FOUND, Kind.TAKEN, Kind.NO_SPACE),
        brief=True,
    )
    async def create_image(self, path: PoolPath, query: InNamespace, body: ImageWanted, ask: Ask) -> Answer:
        """Create an image."""
        place = Place(path.pool, query.namespace)

        def work(connection: Connection, _: Any) -> Details | None:
            details.require_data_pool(connection, body.data_pool)
            wanted = body.spec(body.name, body.size)
            ioctx, spec = placing.placed(connection, place.pool, place.namespace, wanted)
            identifier = editing.create(ioctx, spec)
            return None if ask.minimal else details.made(connection, ioctx, body.name, identifier)

        made = await self._backend.change("create image", place, body.name, work)
        if made is None:
            return Answer(201, None, {"Location": locations.image(place, body.name)})
        return created(self._backend, place, made)

    @endpoint(
        "GET",
        "/pools/{pool}/images/{image}",
        Right("images", "get"),
        {200: Result("The image.", ImageDetails, ETAG)},
        problems=(Kind.NOT_FOUND,),
    )
    async def show_image(self, path: ImagePath, query: InNamespace) -> Answer:
        """Show one image, with watchers, snapshots, parent and metadata."""
        return await self._shown(Place(path.pool, query.namespace), path.image)

    @endpoint(
        "PATCH",
        "/pools/{pool}/images/{image}",
        Right("images", "update"),
        {200: Result("The image as it is now.", ImageDetails, ETAG), 202: ACCEPTED},
        problems=CHANGES,
    )
    async def change_image(self, path: ImagePath, query: Forced, body: ImageChange, ask: Ask) -> Answer:
        """Resize or rename an image.

        Growing is at once. Making it smaller needs `"shrink": true`, destroys what lies behind the new end, and may
        take long; then it can't be renamed in the same request.
        """
        place = Place(path.pool, query.namespace)
        await checks.require_force(ask, FORCE, path.pool, force=query.force)
        guard = checks.guard(ask, path.image, force=query.force)
        size, new = body.size, body.name
        if size is not None and body.shrink:
            if new is not None:
                raise invalid("body/name", "can't be given together with shrink", accepted="two requests")
            return await self._shrink(ask, place, path.image, guard, size)

        def work(_: Connection, ioctx: Any) -> None:
            if new is not None:
                editing.require_free(ioctx, new)
            if size is not None:
                editing.grow(ioctx, path.image, size, guard)
            if new is not None:
                after_growing = guard if size is None else Guard()
                editing.rename(ioctx, path.image, new, after_growing)

        await self._backend.change("change image", place, path.image, work)
        return await self._shown(place, new or path.image)

    @endpoint(
        "DELETE",
        "/pools/{pool}/images/{image}",
        Right("images", "delete"),
        {204: Result("It is gone, or in the trash."), 202: ACCEPTED},
        problems=CHANGES,
    )
    async def delete_image(self, path: ImagePath, query: Deletion, ask: Ask) -> Answer:
        """Delete an image, at once or by way of the trash.

        An image with watchers, snapshots or clones is kept, and the refusal names them. Removing at once may take long;
        what is left of an image when that stops half-way lies in the trash, says so, and can only be purged.
        """
        if query.delay and not query.trash:
            raise invalid("query/delay", "is for the trash only", accepted="trash=true, or no delay")
        place = Place(path.pool, query.namespace)
        await checks.require_force(ask, FORCE, path.pool, force=query.force)
        guard = checks.guard(ask, path.image, force=query.force)
        if query.trash:
            await self._backend.change(
                "trash image", place, path.image, lambda _, ioctx: trashcan.throw(ioctx, path.image, guard, query.delay)
            )
            return Answer(204)

        def prepare(connection: Connection, ioctx: Any) -> Header | None:
            return editing.check_removable(connection, ioctx, path.image, guard)

        def work(connection: Connection, ioctx: Any, found: Header | None, operation: str, progress: Progress) -> None:
            editing.remove(connection, ioctx, path.image, found, progress, operation=operation)

        operation = await self._backend.run_long(ask, "remove", place, path.image, prepare=prepare, work=work)
        return await answered(operation, ask, gone)

    @endpoint(
        "POST",
        "/pools/{pool}/images/{image}/flatten",
        Right("images", "update"),
        {200: Result("The image, a clone no more.", ImageDetails, ETAG), 202: ACCEPTED},
        problems=CHANGES,
    )
    async def flatten_image(self, path: ImagePath, query: InNamespace, ask: Ask) -> Answer:
        """Part a clone from its parent, by copying what they share."""
        place = Place(path.pool, query.namespace)
        guard = checks.guard(ask, path.image, force=False, protects_claims=False)

        def work(_: Connection, ioctx: Any, __: Header, ___: str, progress: Progress) -> None:
            editing.flatten(ioctx, path.image, progress)

        def prepare(_: Connection, ioctx: Any) -> Header:
            return editing.check_clone(ioctx, path.image, guard)

        operation = await self._backend.run_long(ask, "flatten", place, path.image, prepare=prepare, work=work)
        return await answered(operation, ask, lambda: self._shown(place, path.image))

    async def _shrink(self, ask: Ask, place: Place, name: str, guard: Guard, size: int) -> Answer:
        def prepare(connection: Connection, ioctx: Any) -> Header:
            return editing.check_shrinkable(connection, ioctx, name, size, guard)

        def work(_: Connection, ioctx: Any, found: Header, operation: str, progress: Progress) -> None:
            editing.shrink(ioctx, name, found, size, progress, operation=operation)

        operation = await self._backend.run_long(ask, "shrink", place, name, prepare=prepare, work=work)
        return await answered(operation, ask, lambda: self._shown(place, name))

    async def _shown(self, place: Place, name: str) -> Answer:
        found = await self._backend.read("show image", place, lambda c, ioctx: details.show(c, ioctx, name))
        return Answer(200, shown(self._backend, place, found), checks.etag(found.header.version))


def shown(backend: Backend, place: Place, found: Details) -> ImageDetails:
    return ImageDetails.model_validate(
        fields(found.entry, place.pool, place.namespace, found.data_pool, running=backend.operations.is_running)
        | {
            "watchers": list(found.watchers),
            "snapshots": [SnapshotShown.of(snapshot) for snapshot in found.snapshots],
            "other_snapshots": [OtherSnapshotShown.of(snapshot) for snapshot in found.other_snapshots],
            "parent": found.parent,
            "metadata": dict(found.header.metadata),
        }
    )


def created(backend: Backend, place: Place, made: Details) -> Answer:
    location = locations.image(place, made.entry.name)
    return Answer(201, shown(backend, place, made), {"Location": location, **checks.etag(made.header.version)})
