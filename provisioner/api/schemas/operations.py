"""Requests and responses about operations."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from provisioner.api.schemas.fields import RequestModel, ResponseModel, Timestamp


class OperationPath(RequestModel):
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,2000}$", description="Its identifier, from the 202.")]


class OperationState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The process that did it is gone, and the image tells that it was not done."""


class OperationResponse(ResponseModel):
    id: str
    kind: str
    """`remove`, `purge`, `flatten`, `rollback` or `shrink`"""
    pool: str
    namespace: str
    image: str
    state: OperationState
    progress: float | None
    """0 to 1, where librbd tells."""
    cancellable: bool
    detail: str | None
    """Of what went wrong, and the way out."""
    status: int | None
    """The HTTP status that it would have been answered with."""
    started: Timestamp
    finished: Timestamp | None
    by: str | None
    """Who asked for it; null when the process that knew is gone."""


class OperationList(ResponseModel):
    operations: list[OperationResponse]
