"""Operations: looked at, cancelled."""

from typing import Annotated

from pydantic import Field

from provisioner.api import operations
from provisioner.api.access import Right, forbidden
from provisioner.api.backend import Backend, Place
from provisioner.api.endpoint import Answer, Ask, Result, endpoint
from provisioner.api.problem import Kind, ProblemError
from provisioner.api.recall import recall
from provisioner.api.schemas.base import Asked
from provisioner.api.schemas.shown import OperationList, OperationShown

_SEE = Right("images", "get")
_CANCEL = Right("images", "update")


class OperationPath(Asked):
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,2000}$", description="Its identifier, from the 202.")]


class Work:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint("GET", "/operations", None, {200: Result("The newest first.", OperationList)})
    async def list_operations(self, ask: Ask) -> Answer:
        """List the operations of the last hour that this process has run, in pools that you may see."""
        known = self._backend.operations.all()
        pools = {operation.target.pool for operation in known}
        visible = {pool for pool in pools if await ask.may(_SEE, pool)}
        return Answer(200, OperationList(operations=[one.shown() for one in known if one.target.pool in visible]))

    @endpoint(
        "GET",
        "/operations/{id}",
        None,
        {200: Result("How far it is, or how it ended.", OperationShown)},
        problems=(Kind.NOT_FOUND,),
    )
    async def show_operation(self, path: OperationPath, ask: Ask) -> Answer:
        """Show one operation.

        Of one that a process began which has ended since, the image itself tells: `interrupted` when it was not done.
        """
        known = self._backend.operations.get(path.id)
        if known is not None:
            await _require(ask, _SEE, known.target.pool)
            return Answer(200, known.shown())
        read = operations.read_identifier(path.id)
        if read is None:
            raise ProblemError(Kind.NOT_FOUND, f"there is no operation {path.id[:40]}")
        target, started = read
        await _require(ask, _SEE, target.pool)
        place = Place(target.pool, target.namespace)
        found = await self._backend.read("recall", place, lambda _, ioctx: recall(ioctx, target, path.id, started))
        return Answer(200, found)

    @endpoint(
        "DELETE",
        "/operations/{id}",
        None,
        {202: Result("It will stop soon; ask again.", OperationShown)},
        problems=(Kind.NOT_FOUND, Kind.IN_USE),
    )
    async def cancel_operation(self, path: OperationPath, ask: Ask) -> Answer:
        """Cancel an operation, where librbd can: remove, purge, flatten.

        What is left when a removal is stopped lies in the trash, and says so.
        """
        known = self._backend.operations.get(path.id)
        if known is None:
            raise ProblemError(Kind.NOT_FOUND, f"this process runs no operation {path.id[:40]}")
        await _require(ask, _CANCEL, known.target.pool)
        if not known.cancellable:
            why = "it has ended" if known.finished else f"librbd can't stop a {known.target.kind}"
            raise ProblemError(Kind.IN_USE, f"operation {path.id[:40]} can't be cancelled: {why}")
        known.cancelled = True
        return Answer(202, known.shown())


async def _require(ask: Ask, right: Right, pool: str) -> None:
    if not await ask.may(right, pool):
        raise forbidden(ask.user, right, pool)
