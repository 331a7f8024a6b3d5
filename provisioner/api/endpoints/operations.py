"""Endpoints that list, show and cancel operations."""

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

    @endpoint("GET", "/operations", None, {200: Result("The operations, newest first.", OperationList)})
    async def list_operations(self, context: RequestContext) -> EndpointResult:
        """List the operations that this process has run in the last hour, in pools that the user may read."""
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
        {200: Result("The progress or the result of the operation.", OperationResponse)},
    )
    async def show_operation(self, path: OperationPath, context: RequestContext) -> EndpointResult:
        """Show one operation.

        If the process that ran it has stopped, the state follows from the image: `interrupted` if it was not finished.
        """
        known = self._backend.operations.get(path.id)
        if known is not None:
            await _require_permission(context, _GET, known.target.pool)
            return EndpointResult(200, known.to_response())
        read = operations.parse_identifier(path.id)
        if read is None:
            raise ProblemError(ProblemKind.NOT_FOUND, f"operation {path.id[:40]} does not exist")
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
        {202: Result("The operation will stop soon; poll it again.", OperationResponse)},
        problems=(ProblemKind.IN_USE,),
    )
    async def cancel_operation(self, path: OperationPath, context: RequestContext) -> EndpointResult:
        """Cancel an operation: remove, purge or flatten.

        After a cancelled removal, the incomplete image is in the trash and is marked there.
        """
        known = self._backend.operations.get(path.id)
        if known is None:
            raise ProblemError(ProblemKind.NOT_FOUND, f"this process does not run operation {path.id[:40]}")
        await _require_permission(context, _CANCEL, known.target.pool)
        if not known.cancellable:
            why = "it has ended" if known.finished else f"librbd cannot stop a {known.target.kind}"
            raise ProblemError(ProblemKind.IN_USE, f"operation {path.id[:40]} cannot be cancelled: {why}")
        known.cancelled = True
        return EndpointResult(202, known.to_response())


async def _require_permission(context: RequestContext, permission: Permission, pool: str) -> None:
    if not await context.is_allowed(permission, pool):
        raise forbidden_problem(context.user, permission, pool)
