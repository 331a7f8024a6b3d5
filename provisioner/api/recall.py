"""What became of an operation that this process does not know: the image answers for it."""

from typing import Any

from provisioner.api.operations import OperationTarget, to_datetime
from provisioner.api.schemas.responses import OperationResponse, OperationState
from provisioner.ceph import directory
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.interrupted import explain, operation_of

_UNKNOWN = (
    "the process that did this is gone and the image bears no mark of it: it was finished, or undone by a later request"
)


def recall_operation(ioctx: Any, target: OperationTarget, identifier: str, started: int) -> OperationResponse:
    header = directory.find_header(ioctx, target.image_id) if target.image_id else None
    state, detail = judge_by_image(target, identifier, header)
    return OperationResponse(
        id=identifier,
        kind=target.kind,
        pool=target.pool,
        namespace=target.namespace,
        image=target.image,
        state=state,
        progress=1.0 if state is OperationState.SUCCEEDED else None,
        cancellable=False,
        detail=detail,
        status=None,
        started=to_datetime(started),
        finished=None,
        by=None,
    )


def judge_by_image(
    target: OperationTarget, identifier: str, header: ImageHeader | None
) -> tuple[OperationState, str | None]:
    """By the image alone: pure."""
    if header is None:
        if target.kind in {"remove", "purge"}:
            return OperationState.SUCCEEDED, None
        return OperationState.INTERRUPTED, "the process that did this is gone, and so is the image"
    if operation_of(header) == identifier:
        return OperationState.INTERRUPTED, f"the process that did this is gone; of the image: {explain(header)}"
    if target.kind == "flatten":
        done = not header.is_clone
        return (
            (OperationState.SUCCEEDED, None)
            if done
            else (OperationState.INTERRUPTED, "it is still a clone, whole; flatten it again")
        )
    if target.kind in {"remove", "purge"}:
        return OperationState.INTERRUPTED, "it was given up before any data was lost; the image is whole"
    return OperationState.SUCCEEDED, _UNKNOWN
