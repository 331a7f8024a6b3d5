"""Problems (RFC 9457): the table of kinds for code, documentation and clients, and the mapping from errors."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from provisioner.api.schemas.common import FieldProblem, ProblemDocument
from provisioner.ceph import editing, pool_admin, removal_progress
from provisioner.ceph import errors as ceph
from sutler.errors import SutlerError
from sutler.kube.errors import KubeError

CONTENT_TYPE = "application/problem+json"


class ProblemKind(Enum):
    """The name in `type`, the HTTP status and the title of each problem."""

    MALFORMED = ("malformed", 400, "Malformed request")
    UNAUTHENTICATED = ("unauthenticated", 401, "Authentication required")
    FORBIDDEN = ("forbidden", 403, "Permission denied")
    NOT_FOUND = ("not-found", 404, "Not found")
    METHOD = ("method-not-allowed", 405, "Method not allowed")
    TAKEN = ("name-taken", 409, "Name already in use")
    IN_USE = ("in-use", 409, "Resource in use")
    BUSY = ("busy", 409, "Another change is in progress")
    CLAIMED = ("claimed", 409, "Image belongs to a claim")
    CHANGED = ("changed", 412, "Resource has changed")
    TOO_LARGE = ("too-large", 413, "Request too large")
    MEDIA_TYPE = ("media-type", 415, "Body is not JSON")
    INVALID = ("invalid", 422, "Validation failed")
    DEFECT = ("defect", 500, "Internal error")
    CEPH = ("ceph", 502, "Unexpected Ceph error")
    UNAVAILABLE = ("unavailable", 503, "Ceph or Kubernetes does not answer")
    TIMEOUT = ("timeout", 504, "Ceph did not answer in time")
    NO_SPACE = ("no-space", 507, "No space left")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title


@dataclass(eq=False)
class ProblemError(SutlerError):
    kind: ProblemKind
    detail: str
    errno: int | None = None
    accepted: str | None = None
    errors: tuple[FieldProblem, ...] = ()
    images: tuple[str, ...] = ()
    operation: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.detail

    def to_document(self, request_id: str) -> ProblemDocument:
        return ProblemDocument(
            type=f"/docs#{self.kind.slug}",
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            instance=f"urn:sutler:request:{request_id}",
            errno=self.errno,
            errno_name=ceph.errno_name(self.errno) if self.errno else None,
            accepted=self.accepted,
            errors=list(self.errors) or None,
            images=list(self.images) or None,
            operation=self.operation,
        )


# The first match counts: subclasses come before their base class.
_CEPH_KINDS: tuple[tuple[type[ceph.CephError], ProblemKind], ...] = (
    (editing.ImageChanged, ProblemKind.CHANGED),
    (removal_progress.Cancelled, ProblemKind.BUSY),
    (pool_admin.PoolTaken, ProblemKind.TAKEN),
    (ceph.ImageTaken, ProblemKind.TAKEN),
    (ceph.Missing, ProblemKind.NOT_FOUND),
    (ceph.InvalidArgument, ProblemKind.INVALID),
    (ceph.InUse, ProblemKind.IN_USE),
    (ceph.NoSpace, ProblemKind.NO_SPACE),
    (ceph.NotConnected, ProblemKind.UNAVAILABLE),
    (ceph.Denied, ProblemKind.FORBIDDEN),
    (ceph.CephUnavailable, ProblemKind.UNAVAILABLE),
    (ceph.OutcomeUnknown, ProblemKind.TIMEOUT),
)


def from_error(error: SutlerError) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, ceph.CephError):
        kind = next((kind for expected, kind in _CEPH_KINDS if isinstance(error, expected)), ProblemKind.CEPH)
        return ProblemError(kind, str(error), errno=error.code, headers=_retry_after(error))
    if isinstance(error, KubeError):
        return ProblemError(
            ProblemKind.UNAVAILABLE, f"the request to Kubernetes failed: {error}", headers={"Retry-After": "2"}
        )
    return ProblemError(ProblemKind.DEFECT, "an unexpected error of this service; its log has the details")


def _retry_after(error: ceph.CephError) -> dict[str, str]:
    if isinstance(error, ceph.CephUnavailable):
        return {"Retry-After": str(max(1, round(error.retry_after)))}
    return {"Retry-After": "5"} if isinstance(error, ceph.OutcomeUnknown) else {}


def new_request_id() -> str:
    return secrets.token_hex(8)


def invalid_field(where: str, detail: str, *, accepted: str | None = None, errno: int | None = None) -> ProblemError:
    """A problem about a single field, for checks that the models cannot make."""
    problem = FieldProblem(where=where, detail=detail, accepted=accepted)
    return ProblemError(ProblemKind.INVALID, f"{where}: {detail}", errno=errno, accepted=accepted, errors=(problem,))


def render(problem: ProblemError, request_id: str) -> bytes:
    shown: Any = problem.to_document(request_id)
    text: str = shown.model_dump_json(exclude_none=True)
    return text.encode()
