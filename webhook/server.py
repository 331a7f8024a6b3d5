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
from typing import NoReturn

from aiohttp import web
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict
from prometheus_client import Counter

from sutler import log
from webhook import metrics
from webhook.memo import Memo
from webhook.review import ReviewError, answer, decode
from webhook.state import State

PATH = "/mutate"
LARGEST_BODY = 8 * 1024**2
"""Bytes. The API server sends object and oldObject, each up to 3 MiB as JSON, and little more."""
BODY_SECONDS = 10.0
"""For the whole body to come; the API server sends it at once and waits for 3 s by default."""
KEEP_ALIVE_SECONDS = 300.0
"""Longer than the 90 s for which the API server keeps an idle connection: were we to close first, a request that meets
the closing connection would fail and not be tried again."""
MOST_REQUESTS = 1024
MOST_BYTES = 256 * 1024**2
"""What may be in flight at once. More is answered with 503 before it is read."""
MOST_LAG = 1.0
"""Seconds that a request may wait for its turn. The API server gives up after three: what waits longer than this is
answered with 503, which is quick, until the wait is shorter."""
_HEARTBEAT = 0.1

_JSON = "application/json"
_HEADERS = CIMultiDict({"Content-Type": _JSON})
_log = log.get(__name__)


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """An answer other than a decision, and what it is counted as."""

    def __init__(self, status: HTTPStatus, reason: str, count: Counter, *, close: bool = True) -> None:
        super().__init__(reason)
        self.status = status
        self.count = count
        self.close = close

    def response(self) -> web.Response:
        self.count.inc()
        headers = {"Retry-After": "1"} if self.status is HTTPStatus.SERVICE_UNAVAILABLE else None
        response = web.Response(status=self.status, text=f"{self}\n", headers=headers)
        if self.close:
            response.force_close()
        return response


class Admission:
    """Answers requests by what the state says at that moment."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.last_request = perf_counter()
        self._memo = Memo(state)
        self._requests = 0
        self._bytes = 0
        self._lag = 0.0

    async def watch_lag(self) -> NoReturn:
        """A timer comes as late as a request does that arrived with it."""
        while True:
            due = perf_counter() + _HEARTBEAT
            await asyncio.sleep(_HEARTBEAT)
            self._lag = perf_counter() - due

    @property
    def busy(self) -> bool:
        return self._requests > 0

    async def handle(self, request: BaseRequest) -> web.Response:
        self.last_request = begin = perf_counter()
        try:
            response = await self._answer(request)
        except Refusal as refusal:
            response = refusal.response()
        except Exception:  # noqa: BLE001 - a defect of ours must not become a refused Pod
            _log.exception("a request could not be answered")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            response = Refusal(status, "internal error, see the webhook's log", metrics.ERROR).response()
        if self.state.stopping:
            response.force_close()
        metrics.DURATION.observe(perf_counter() - begin)
        return response

    async def _answer(self, request: BaseRequest) -> web.Response:
        size = _expected(request)
        unready = self.state.not_ready()
        if unready is not None:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {unready}", metrics.NOT_READY)
        if self._requests >= MOST_REQUESTS or self._bytes + size > MOST_BYTES:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once", metrics.OVERLOADED)
        if self._lag > MOST_LAG:
            # On a connection that is kept: a new one would cost more than an answer.
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "requests wait too long", metrics.OVERLOADED, close=False)
        self._requests += 1
        self._bytes += size
        try:
            return await self._decided(await _body(request))
        finally:
            self._requests -= 1
            self._bytes -= size

    async def _decided(self, body: bytes) -> web.Response:
        try:
            review = decode(body)
            labels = self.state.namespaces.get(review.namespace or "")
            if labels is None:
                labels = await self.state.ask_namespace(review.namespace or "")
            ready = self._memo.decide(review, labels)
        except ReviewError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(error), metrics.BAD_REQUEST, close=False) from None
        for counter in ready.counters:
            counter.inc()
        return web.Response(body=answer(review.uid, ready.encoded), headers=_HEADERS)


def make_runner(state: State | Admission) -> web.ServerRunner:
    """The server without a socket, made while the event loop runs.

    It is aiohttp's low-level one: there is one path, and routing costs a good deal.
    """
    admission = state if isinstance(state, Admission) else Admission(state)
    return web.ServerRunner(
        web.Server(admission.handle),
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        auto_decompress=False,  # what is packed is refused, so it must not be unpacked first
    )


def _expected(request: BaseRequest) -> int:
    """The body's size, or its limit if that is not known. Raises Refusal for what can be seen without the body."""
    if request.path != PATH:
        raise Refusal(HTTPStatus.NOT_FOUND, f"there is only {PATH} here", metrics.BAD_REQUEST)
    if request.method != "POST":
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "send an AdmissionReview with POST", metrics.BAD_REQUEST)
    headers = request.headers
    if headers.get("Content-Type") != _JSON and request.content_type != _JSON:
        kind = headers.get("Content-Type", "none")[:60]
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {_JSON}, not {kind}", metrics.BAD_REQUEST
        )
    if "Content-Encoding" in headers:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body uncompressed", metrics.BAD_REQUEST)
    size = request.content_length
    if size is None:
        return LARGEST_BODY
    _check_size(size)
    return size


def _check_size(size: int) -> None:
    if size > LARGEST_BODY:
        reason = f"the body is larger than {LARGEST_BODY} bytes"
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason, metrics.BAD_REQUEST)


async def _body(request: BaseRequest) -> bytes:
    content = request.content
    if content.is_eof():  # all of it came with the head
        body = content.read_nowait()
        _check_size(len(body))
        return body
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await content.readany():
                chunks.append(chunk)
                size += len(chunk)
                _check_size(size)
    except TimeoutError:
        reason = f"the body did not come within {BODY_SECONDS:g} s"
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, reason, metrics.BAD_REQUEST) from None
    return b"".join(chunks)
