"""Declares endpoints: one definition routes, validates, authorizes and documents."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel

from provisioner.api.authorization import Permission, User
from provisioner.api.problem import ProblemKind
from provisioner.api.schemas.common import NoFields
from provisioner.api.schemas.fields import RequestModel, ResponseModel

BASE = "/api/v1"

F = TypeVar("F", bound=Callable[..., Awaitable["EndpointResult"]])

# Problems that every endpoint may return.
ALWAYS_PROBLEMS = (
    ProblemKind.MALFORMED,
    ProblemKind.UNAUTHENTICATED,
    ProblemKind.FORBIDDEN,
    ProblemKind.INVALID,
    ProblemKind.CEPH,
    ProblemKind.UNAVAILABLE,
    ProblemKind.TIMEOUT,
)
BODY_PROBLEMS = (ProblemKind.TOO_LARGE, ProblemKind.MEDIA_TYPE)
CHANGE_PROBLEMS = (ProblemKind.IN_USE, ProblemKind.CHANGED, ProblemKind.NO_SPACE)
"""ProblemKind.IN_USE represents all problems with status 409."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The request as an endpoint sees it, besides its parameters."""

    user: User
    request_id: str
    if_match: tuple[str, ...] | None
    """The versions that If-Match accepts; None: all."""
    wait: float
    """Seconds before a running operation is answered with 202."""
    minimal: bool
    """The client does not want the body of the response."""
    is_allowed: Callable[[Permission, str | None], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class EndpointResult:
    status: int
    body: ResponseModel | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None
    """A detail of the change for the audit log."""


@dataclass(frozen=True, slots=True)
class Result:
    """A successful status of an endpoint, for the OpenAPI document."""

    text: str
    """The description."""
    body: type[ResponseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name → description."""
    links: tuple["Link", ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A link of OpenAPI from a response to another endpoint."""

    operation: str
    """The operationId."""
    parameters: Mapping[str, str]
    """Path parameter → runtime expression of OpenAPI."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: str
    path: str
    """Below BASE."""
    permission: Permission | None
    """None: every authenticated user."""
    results: Mapping[int, Result]
    problems: tuple[ProblemKind, ...]
    function: Callable[..., Awaitable[EndpointResult]]
    path_model: type[RequestModel]
    query_model: type[RequestModel]
    body_model: type[RequestModel] | None
    parameters: frozenset[str]
    """Names of the function's parameters."""
    honours_if_match: bool
    """The endpoint honours If-Match."""
    honours_wait: bool
    """The endpoint honours Prefer: wait."""
    honours_minimal: bool
    """The endpoint honours Prefer: return=minimal."""

    @property
    def operation(self) -> str:
        return self.function.__name__

    @property
    def changes(self) -> bool:
        return self.method != "GET"

    @property
    def text(self) -> str:
        return inspect.getdoc(self.function) or ""

    @property
    def statuses(self) -> tuple[ProblemKind, ...]:
        of_path = (ProblemKind.NOT_FOUND,) if "{" in self.path else ()
        of_body = BODY_PROBLEMS if self.body_model else ()
        return tuple(dict.fromkeys((*ALWAYS_PROBLEMS, *of_path, *self.problems, *of_body)))


def endpoint(
    method: str,
    path: str,
    permission: Permission | None,
    results: Mapping[int, Result],
    *,
    problems: tuple[ProblemKind, ...] = (),
    minimal: bool = False,
) -> Callable[[F], F]:
    """Declares a method as an endpoint. The types of its parameters `path`, `query` and `body` are the models."""

    def mark(function: F) -> F:
        hints: Mapping[str, type[Any]] = get_type_hints(function)
        accepted = 202 in results  # noqa: PLR2004 - HTTP's own
        function.__endpoint__ = Endpoint(  # type: ignore[attr-defined] # read by `endpoints` below
            method=method,
            path=path,
            permission=permission,
            results=results,
            problems=problems,
            function=function,
            path_model=hints.get("path", NoFields),
            query_model=hints.get("query", NoFields),
            body_model=hints.get("body"),
            parameters=frozenset(hints) - {"return"},
            honours_if_match=ProblemKind.CHANGED in problems,
            honours_wait=accepted,
            honours_minimal=minimal,
        )
        return function

    return mark


def endpoints(owner: type) -> Iterator[Endpoint]:
    """The endpoints that a class declares."""
    for member in vars(owner).values():
        if (found := getattr(member, "__endpoint__", None)) is not None:
            yield found


def models(found: Endpoint) -> Iterator[type[BaseModel]]:
    """The models of the endpoint's bodies."""
    if found.body_model is not None:
        yield found.body_model
    for result in found.results.values():
        if result.body is not None:
            yield result.body
