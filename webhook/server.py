"""The HTTP side: which request gets which status.

decided, whatever the decision        200  AdmissionReview, always allowed
no AdmissionReview that can be read   400  the reason
larger than 8 MiB                     413
not application/json, or compressed   415
a defect of ours                      500  failurePolicy decides
not ready, or too much at once        503  Retry-After, so the API server tries again within its time-out
"""

import asyncio
from http import HTTPStatus
from time import perf_counter

from aiohttp import web

from sutler import log
from webhook import metrics
from webhook.decide import Decision, decide
from webhook.review import ReviewError, decode, encode
from webhook.state import State

LARGEST_BODY = 8 * 1024**2
"""Bytes. The API server sends object and oldObject, each up to 3 MiB as JSON, and little more."""
BODY_SECONDS = 10.0
"""For the whole body to come; the API server sends it at once and waits for 3 s by default."""
MOST_REQUESTS = 1024
MOST_BYTES = 256 * 1024**2
"""What may be in flight at once. More is answered with 503 before it is read."""

_JSON = "application/json"
_RETRY = {"Retry-After": "1"}
_log = log.get(__name__)


class Admission:
    """Handles POST /mutate."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._requests = 0
        self._bytes = 0
        self.last_request = perf_counter()

    @property
    def busy(self) -> bool:
        return self._requests > 0

    async def mutate(self, request: web.Request) -> web.Response:
        self.last_request = begin = perf_counter()
        response = await self._answer(request)
        if self.state.stopping:
            response.force_close()
        metrics.DURATION.observe(perf_counter() - begin)
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        reason = self.state.not_ready()
        if reason is not None:
            metrics.NOT_READY.inc()
            return _later(f"not ready: {reason}")
        refused = _refused(request)
        if refused is not None:
            metrics.BAD_REQUEST.inc()
            return refused
        size = request.content_length or LARGEST_BODY
        if self._requests >= MOST_REQUESTS or self._bytes + size > MOST_BYTES:
            metrics.OVERLOADED.inc()
            return _later("too many requests at once")
        self._requests += 1
        self._bytes += size
        try:
            return await self._decided(request)
        except Exception:  # noqa: BLE001 - a defect of ours must not become a refused Pod
            metrics.ERROR.inc()
            _log.exception("a request could not be answered")
            return web.Response(status=500, text="internal error, see the webhook's log\n")
        finally:
            self._requests -= 1
            self._bytes -= size

    async def _decided(self, request: web.Request) -> web.Response:
        try:
            body = await _body(request)
            review = decode(body)
            namespace = review.namespace or ""
            labels = self.state.namespaces.get(namespace)
            if labels is None:
                labels = await self.state.ask_namespace(namespace)
            decision = decide(review, labels, self.state)
        except ReviewError as error:
            metrics.BAD_REQUEST.inc()
            return web.Response(status=400, text=f"{error}\n")
        except web.HTTPRequestEntityTooLarge:
            metrics.BAD_REQUEST.inc()
            return _too_large()
        except TimeoutError:
            metrics.BAD_REQUEST.inc()
            return _closing(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {BODY_SECONDS:g} s")
        _count(decision)
        return web.Response(body=encode(decision.response), content_type=_JSON)


def make_app(state: State | Admission) -> web.Application:
    admission = state if isinstance(state, Admission) else Admission(state)
    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post("/mutate", admission.mutate)
    return app


async def _body(request: web.Request) -> bytes:
    if request.content.is_eof():  # it is all there already
        return await request.read()
    async with asyncio.timeout(BODY_SECONDS):
        return await request.read()


def _refused(request: web.Request) -> web.Response | None:
    """What is wrong can be seen without the body."""
    if request.headers.get("Content-Type") != _JSON and request.content_type != _JSON:
        kind = request.headers.get("Content-Type", "none")[:60]
        return _closing(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {_JSON}, not {kind}")
    if "Content-Encoding" in request.headers:
        return _closing(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not read, send it as it is")
    if (request.content_length or 0) > LARGEST_BODY:
        return _too_large()
    return None


def _too_large() -> web.Response:
    return _closing(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {LARGEST_BODY} bytes")


def _later(reason: str) -> web.Response:
    response = web.Response(status=503, text=f"{reason}\n", headers=_RETRY)
    response.force_close()
    return response


def _closing(status: int, reason: str) -> web.Response:
    """The rest of the body is not read, so nothing more can come on this connection."""
    response = web.Response(status=status, text=f"{reason}\n")
    response.force_close()
    return response


def _count(decision: Decision) -> None:
    metrics.DECIDED[decision.outcome].inc()
    for mapping in decision.mappings:
        metrics.MATCHES.labels(mapping).inc()
