"""Requests and responses about operations."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from provisioner.api.schemas.fields import RequestModel, ResponseModel, Timestamp


class OperationPath(RequestModel):
    id: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_-]{1,2000}$", description="Identifier of the operation, from the response 202."),
    ]


class OperationState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The process of the operation has stopped, and the image shows that it was not finished."""


class OperationResponse(ResponseModel):
    id: str
    kind: str
    """`remove`, `purge`, `flatten`, `rollback` or `shrink`"""
    pool: str
    namespace: str
    image: str
    state: OperationState
    progress: float | None
    """0 to 1; null if librbd reports none."""
    cancellable: bool
    detail: str | None
    """The cause of a failure, and the way out."""
    status: int | None
    """The HTTP status of the failure."""
    started: Timestamp
    finished: Timestamp | None
    by: str | None
    """Name of the user; null if the process of the operation has stopped."""


class OperationList(ResponseModel):
    operations: list[OperationResponse]
