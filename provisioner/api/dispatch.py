"""Dispatches requests to endpoints: authenticates, authorizes, validates, and renders the result as JSON."""

import asyncio
import base64
import binascii
import re
import time
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import hdrs, web

from provisioner.api import problem, validation
from provisioner.api.authorization import Access, Permission, User, forbidden_problem, unauthenticated_problem
from provisioner.api.endpoint import BASE, Endpoint, EndpointResult, RequestContext, endpoints
from provisioner.api.limits import DEFAULT_WAIT_SECONDS, LONGEST_WAIT_SECONDS
from provisioner.api.metrics import DURATION
from provisioner.api.problem import ProblemError, ProblemKind
from sutler import log

_log = log.get(__name__)

_WAIT = re.compile(r"(?:^|[,;]\s*)wait=(\d{1,4})(?:$|\s*[,;])")
_TAG = re.compile(r'(?:^|,)\s*"([^"]*)"\s*(?=,|$)')

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Dispatcher:
    """Turns endpoints into handlers of aiohttp."""

    def __init__(self, access: Access, deadline: float) -> None:
        self._access = access
        self._deadline = deadline

    def routes(self, owners: Iterable[object]) -> list[web.RouteDef]:
        routes = []
        for owner in owners:
            for found in endpoints(type(owner)):
                bound = getattr(owner, found.operation)
                routes.append(web.route(found.method, BASE + found.path, self._handler(found, bound)))
        return routes

    def _handler(self, found: Endpoint, bound: Callable[..., Awaitable[EndpointResult]]) -> _Handler:
        duration = DURATION.labels(found.operation)

        async def handle(request: web.Request) -> web.StreamResponse:
            request["endpoint"] = found
            started = time.monotonic()
            try:
                async with asyncio.timeout(
                    self._deadline + _preferred_wait(request) if found.honours_wait else self._deadline
                ):
                    answer = await self._answer(request, found, bound)
            except TimeoutError:
                text = f"the request took longer than {time.monotonic() - started:.0f} s"
                if found.changes:
                    text += ": the change may or may not have been made; check before you retry"
                raise ProblemError(ProblemKind.TIMEOUT, text, headers={"Retry-After": "5"}) from None
            finally:
                duration.observe(time.monotonic() - started)
            request["note"] = answer.note
            body = answer.body.model_dump_json().encode() if answer.body is not None else None
            return web.Response(
                status=answer.status,
                body=body,
                headers=dict(answer.headers),
                content_type="application/json" if body is not None else None,
            )

        return handle

    async def _answer(
        self, request: web.Request, found: Endpoint, bound: Callable[..., Awaitable[EndpointResult]]
    ) -> EndpointResult:
        user = await self.authenticate(request)
        pool = request.match_info.get("pool")
        if found.permission is not None and not await self._access.is_allowed(user, found.permission, pool):
            raise forbidden_problem(user, found.permission, pool)
        # Validated even if the function takes none: then no parameter is known, and none is accepted.
        known: dict[str, object] = {
            "path": validation.parse_parameters(found.path_model, request.match_info, "path"),
            "query": validation.parse_parameters(found.query_model, _read_query(request), "query"),
            "context": self._context(request, user),
        }
        given = {name: value for name, value in known.items() if name in found.parameters}
        if found.body_model is not None:
            given["body"] = body = validation.parse_body(found.body_model, await _read_body(request))
            request["named"] = getattr(body, "name", None)
        return await bound(**given)

    def _context(self, request: web.Request, user: User) -> RequestContext:
        async def is_allowed(permission: Permission, pool: str | None) -> bool:
            return await self._access.is_allowed(user, permission, pool)

        minimal = "return=minimal" in request.headers.get("Prefer", "")
        return RequestContext(user, request["id"], _if_match(request), _preferred_wait(request), minimal, is_allowed)

    async def authenticate(self, request: web.Request) -> User:
        token = _read_token(request)
        user = await self._access.authenticate(token)
        if user is None:
            raise unauthenticated_problem("the token is unknown or has expired")
        request["user"] = user
        return user


def _read_query(request: web.Request) -> dict[str, str]:
    repeated = {name for name in request.query if len(request.query.getall(name)) > 1}
    if repeated:
        raise problem.invalid_field(f"query/{min(repeated)}", "is given more than once", accepted="the parameter once")
    return dict(request.query)


async def _read_body(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        # Headers may hold bytes that are not text, which no response could repeat.
        given = request.headers.get(hdrs.CONTENT_TYPE, "none")[:80].encode("ascii", "backslashreplace").decode()
        raise ProblemError(ProblemKind.MEDIA_TYPE, f"Content-Type is {given}", accepted="application/json")
    try:
        return await request.read()
    except (web.RequestPayloadError, ConnectionError) as error:
        raise ProblemError(
            ProblemKind.MALFORMED, "the body could not be read to its end: it was cut off or does not match its headers"
        ) from error


def _read_token(request: web.Request) -> str:
    scheme, _, rest = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer" and rest:
        if not rest.isascii():
            raise unauthenticated_problem("the token in the request is invalid: it is not ASCII")
        return rest
    if scheme.lower() == "basic":
        # A browser adds these by itself, also to requests that another page makes: never for changes.
        if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
            raise unauthenticated_problem(
                "Basic authentication is accepted for reads only; changes need a Bearer token"
            )
        try:
            password = base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise unauthenticated_problem("the Basic credentials are not base64 of name:token") from None
        if password:
            return password
    raise unauthenticated_problem("the request has no token")


def _if_match(request: web.Request) -> tuple[str, ...] | None:
    given = request.headers.get(hdrs.IF_MATCH)
    if given is None or given.strip() == "*":
        return None
    return tuple(_TAG.findall(given))


def _preferred_wait(request: web.Request) -> float:
    match = _WAIT.search(request.headers.get("Prefer", ""))
    return min(float(match[1]), LONGEST_WAIT_SECONDS) if match else DEFAULT_WAIT_SECONDS
