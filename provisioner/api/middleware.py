"""The outermost middleware: turns failures into problems, audits changes, and adds the common headers."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from provisioner.api import audit, problem
from provisioner.api.endpoint import BASE, Endpoint
from provisioner.api.limits import LARGEST_BODY_BYTES
from provisioner.api.metrics import REQUESTS
from provisioner.api.problem import ProblemError, ProblemKind
from sutler import log
from sutler.errors import SutlerError

_log = log.get(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problem_middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Renders every failure as a problem, and records every change in the audit log."""
    request["id"] = problem.new_request_id()
    started = time.monotonic()
    failure: ProblemError | None = None
    try:
        response = await handler(request)
    except asyncio.CancelledError:
        detail = "the service stopped before the request was complete: the change may or may not have been made"
        audit.record_change(request, None, "interrupted", detail, time.monotonic() - started)
        raise
    except SutlerError as error:
        failure = problem.from_error(error)
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004 - a redirect
            raise
        failure = _from_http(request, error)
    except Exception:  # noqa: BLE001 - no code above this renders a response
        _log.exception("request failed", request=request["id"], path=request.path)
        failure = ProblemError(
            ProblemKind.DEFECT, "an internal error of this service; its log has the details under this instance"
        )
    if failure is not None:
        response = web.Response(
            status=failure.kind.status,
            body=problem.render(failure, request["id"]),
            content_type=problem.CONTENT_TYPE,
            headers=dict(failure.headers),
        )
    found: Endpoint | None = request.get("endpoint")
    REQUESTS.labels(found.operation if found else "", str(response.status)).inc()
    result, note = (failure.kind.slug, failure.detail) if failure is not None else ("done", request.get("note"))
    audit.record_change(request, response.status, result, note, time.monotonic() - started)
    response.headers["X-Request-Id"] = request["id"]
    response.headers["Server"] = "sutler"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _from_http(request: web.Request, error: web.HTTPException) -> ProblemError:
    """The problem for an error of aiohttp."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return ProblemError(
            ProblemKind.METHOD,
            f"this path does not support {request.method}",
            accepted=allowed,
            headers={"Allow": allowed},
        )
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return ProblemError(ProblemKind.TOO_LARGE, f"the body is larger than {LARGEST_BODY_BYTES} bytes")
    if isinstance(error, web.HTTPNotFound):
        return ProblemError(
            ProblemKind.NOT_FOUND,
            f"the path {request.path[:200]} does not exist",
            accepted=f"the paths that /docs lists, below {BASE}",
        )
    return ProblemError(ProblemKind.MALFORMED, error.reason)
