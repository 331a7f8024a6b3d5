"""Models that several endpoints share: paths, pages and problems."""

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
    """Name of the image; `/` and other reserved characters are percent-encoded."""


class SnapshotPath(ImagePath):
    snapshot: AnyName
    """Name of the snapshot."""


class TrashPath(PoolPath):
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{1,32}$", description="Identifier of the entry, from the list.")]


class InNamespace(RequestModel):
    namespace: Namespace = ""


class Forced(InNamespace):
    force: bool = False
    """Change the image although it belongs to a claim. Needs the permission `force` on images."""


class Paged(InNamespace):
    limit: Annotated[int, Field(ge=1, le=1000, description="Largest number of entries: 1 to 1000.")] = 100
    cursor: Annotated[
        str, Field(max_length=400, pattern=r"^[A-Za-z0-9_-]*$", description="`next_cursor` of the page before.")
    ] = ""


class FieldProblem(ResponseModel):
    """One error in the request."""

    where: Annotated[str, Field(description="`body`, `query`, `path` or `header`, and a JSON pointer or a name.")]
    detail: str
    accepted: str | None = None
    """What would be accepted."""


class ProblemDocument(ResponseModel):
    """A problem as in RFC 9457. `type` links to its description on the documentation page."""

    type: str
    title: str
    status: int
    detail: str
    """The cause and the way out, in words."""
    instance: str
    """Identifies this response; the log has it as well."""
    errno: int | None = None
    """The errno of Ceph, if Ceph returned one."""
    errno_name: str | None = None
    """Its name: `EDOM`."""
    accepted: str | None = None
    """What would be accepted."""
    errors: list[FieldProblem] | None = None
    images: list[str] | None = None
    """Images that prevent the request."""
    operation: str | None = None
    """Path of the operation that prevents the request."""
