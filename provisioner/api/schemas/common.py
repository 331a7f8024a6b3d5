"""What many endpoints share: where things are, pages, and problems."""

from typing import Annotated

from pydantic import Field

from provisioner.api.schemas.fields import AnyName, Namespace, RequestModel, ResponseModel


class NoFields(RequestModel):
    pass


class PoolPath(RequestModel):
    pool: AnyName
    """Name of the pool."""


class ImagePath(PoolPath):
    image: AnyName
    """Name of the image, percent-encoded where it holds `/` or the like."""


class SnapshotPath(ImagePath):
    snapshot: AnyName
    """Name of the snapshot."""


class TrashPath(PoolPath):
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{1,32}$", description="The entry's identifier, from the list.")]


class InNamespace(RequestModel):
    namespace: Namespace = ""


class Forced(InNamespace):
    force: bool = False
    """Do it although the image belongs to a claim. Needs the right `force` on images."""


class Paged(InNamespace):
    limit: Annotated[int, Field(ge=1, le=1000, description="How many at most: 1 to 1000.")] = 100
    cursor: Annotated[
        str, Field(max_length=400, pattern=r"^[A-Za-z0-9_-]*$", description="`next_cursor` of the page before.")
    ] = ""


class FieldProblem(ResponseModel):
    """One thing that is wrong with the request."""

    where: Annotated[str, Field(description="`body`, `query`, `path` or `header`, and a JSON pointer or a name.")]
    detail: str
    accepted: str | None = None
    """What would be accepted."""


class ProblemDocument(ResponseModel):
    """RFC 9457. `type` leads to a description on the documentation's page."""

    type: str
    title: str
    status: int
    detail: str
    """The cause, in words, and the way out."""
    instance: str
    """Of this answer; the log has it, too."""
    errno: int | None = None
    """What Ceph said, where it was Ceph."""
    errno_name: str | None = None
    """The same as a name: `EDOM`."""
    accepted: str | None = None
    """What would be accepted."""
    errors: list[FieldProblem] | None = None
    images: list[str] | None = None
    """Images that are in the way."""
    operation: str | None = None
    """Path of the operation that is in the way."""
