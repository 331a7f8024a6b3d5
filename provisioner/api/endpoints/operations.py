"""Operations: looked at, cancelled."""

from provisioner.api import operations
from provisioner.api.authorization import Permission, forbidden_problem
from provisioner.api.backend import Backend, ImagePlace
from provisioner.api.endpoint import EndpointResult, RequestContext, Result, endpoint
from provisioner.api.operations import recall_operation
from provisioner.api.problem import ProblemError, ProblemKind
from provisioner.api.schemas.operations import OperationList, OperationPath, OperationResponse

_GET = Permission("images", "get")
_CANCEL = Permission("images", "update")


class OperationEndpoints:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @endpoint("GET", "/operations", None, {200: Result("The newest first.", OperationList)})
    async def list_operations(self, context: RequestContext) -> EndpointResult:
        """List the operations of the last hour that this process has run, in pools that you may see."""
        known = self._backend.operations.list()
        pools = {operation.target.pool for operation in known}
        visible = {pool for pool in pools if await context.is_allowed(_GET, pool)}
        return EndpointResult(
            200, OperationList(operations=[one.to_response() for one in known if one.target.pool in visible])
        )

    @endpoint(
        "GET",
        "/operations/{id}",
        None,
        {200: Result("How far it is, or how it ended.", OperationResponse)},
        problems=(ProblemKind.NOT_FOUND,),
    )
    async def show_operation(self, path: OperationPath, context: RequestContext) -> EndpointResult:
        """Show one operation.

        Of one that a process began which has ended since, the image itself tells: `interrupted` when it was not done.
        """
        known = self._backend.operations.get(path.id)
        if known is not None:
            await _require_permission(context, _GET, known.target.pool)
            return EndpointResult(200, known.to_response())
        read = operations.parse_identifier(path.id)
        if read is None:
            raise ProblemError(ProblemKind.NOT_FOUND, f"there is no operation {path.id[:40]}")
        target, started = read
        await _require_permission(context, _GET, target.pool)
        place = ImagePlace(target.pool, target.namespace)
        found = await self._backend.read(
            "recall", place, lambda _, ioctx: recall_operation(ioctx, target, path.id, started)
        )
        return EndpointResult(200, found)

    @endpoint(
        "DELETE",
        "/operations/{id}",
        None,
        {202: Result("It will stop soon; ask again.", OperationResponse)},
        problems=(ProblemKind.NOT_FOUND, ProblemKind.IN_USE),
    )
    async def cancel_operation(self, path: OperationPath, context: RequestContext) -> EndpointResult:
        """Cancel an operation, where librbd can: remove, purge, flatten.

        What is left when a removal is stopped lies in the trash, and says so.
        """
        known = self._backend.operations.get(path.id)
        if known is None:
            raise ProblemError(ProblemKind.NOT_FOUND, f"this process runs no operation {path.id[:40]}")
        await _require_permission(context, _CANCEL, known.target.pool)
        if not known.cancellable:
            why = "it has ended" if known.finished else f"librbd can't stop a {known.target.kind}"
            raise ProblemError(ProblemKind.IN_USE, f"operation {path.id[:40]} can't be cancelled: {why}")
        known.cancelled = True
        return EndpointResult(202, known.to_response())


async def _require_permission(context: RequestContext, permission: Permission, pool: str) -> None:
    if not await context.is_allowed(permission, pool):
        raise forbidden_problem(context.user, permission, pool)
