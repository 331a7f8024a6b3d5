"""Everything that can go wrong, as RFC 9457 problems: one table for code, documentation and clients."""

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
    """Name in `type`, HTTP status, title."""

    MALFORMED = ("malformed", 400, "The request can't be read")
    UNAUTHENTICATED = ("unauthenticated", 401, "Nobody knows who is asking")
    FORBIDDEN = ("forbidden", 403, "Not allowed")
    NOT_FOUND = ("not-found", 404, "There is no such thing")
    METHOD = ("method-not-allowed", 405, "This can't be done there")
    TAKEN = ("name-taken", 409, "The name is taken")
    IN_USE = ("in-use", 409, "Something is in the way")
    BUSY = ("busy", 409, "It is being changed by somebody else")
    CLAIMED = ("claimed", 409, "The image belongs to a claim")
    CHANGED = ("changed", 412, "It has changed meanwhile")
    TOO_LARGE = ("too-large", 413, "The request is too large")
    MEDIA_TYPE = ("media-type", 415, "The body is not JSON")
    INVALID = ("invalid", 422, "What is asked for is not possible")
    DEFECT = ("defect", 500, "A defect of this service")
    CEPH = ("ceph", 502, "Ceph reported an unexpected error")
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


# The first that fits: special ones before their kin.
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
            ProblemKind.UNAVAILABLE, f"this service asked Kubernetes, in vain: {error}", headers={"Retry-After": "2"}
        )
    return ProblemError(ProblemKind.DEFECT, "an error that this service does not know; its log has it")


def _retry_after(error: ceph.CephError) -> dict[str, str]:
    if isinstance(error, ceph.CephUnavailable):
        return {"Retry-After": str(max(1, round(error.retry_after)))}
    return {"Retry-After": "5"} if isinstance(error, ceph.OutcomeUnknown) else {}


def new_request_id() -> str:
    return secrets.token_hex(8)


def invalid_field(where: str, detail: str, *, accepted: str | None = None, errno: int | None = None) -> ProblemError:
    """A single wrong thing; the model's own check finds all the others."""
    problem = FieldProblem(where=where, detail=detail, accepted=accepted)
    return ProblemError(ProblemKind.INVALID, f"{where}: {detail}", errno=errno, accepted=accepted, errors=(problem,))


def render(problem: ProblemError, request_id: str) -> bytes:
    shown: Any = problem.to_document(request_id)
    text: str = shown.model_dump_json(exclude_none=True)
    return text.encode()
