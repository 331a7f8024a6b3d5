"""The HTTP side: which request gets which status.

decided, whatever the decision        200  AdmissionReview, always allowed
no AdmissionReview that can be read   400  the reason
larger than 8 MiB                     413
not application/json, or compressed   415
a defect of ours                      500  failurePolicy decides
not ready, or too much at once        503  Retry-After, so the API server tries again within its time-out
"""

import asyncio
import logging
from http import HTTPStatus
from time import perf_counter
from typing import NoReturn

from aiohttp import StreamReader, web
from aiohttp.web_request import BaseRequest

from sutler import log
from webhook import metrics
from webhook.answered import Answered
from webhook.decide import Outcome
from webhook.memo import Memo, Ready
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
"""Bodies that may be on their way at once, and their size. More is answered with 503 before it is read."""
MOST_LAG = 1.0
"""Seconds that a request may wait for its turn. The API server gives up after three: what waits longer than this is
answered with 503, which is quick, until the wait is shorter."""
_HEARTBEAT = 0.1

_JSON = "application/json"
TALLY = metrics.register(Outcome)
_log = log.get(__name__)


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """An answer other than a decision, and what it is counted as."""

    def __init__(
        self, status: HTTPStatus, reason: str, outcome: str = metrics.BAD_REQUEST, *, close: bool = True
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.outcome = outcome
        self.close = close

    def response(self) -> web.Response:
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
        self._receiving = 0
        self._receiving_bytes = 0
        self._lag = 0.0
        self._tells = logging.getLogger(__name__).isEnabledFor(logging.DEBUG)

    async def watch_lag(self) -> NoReturn:
        """A timer comes as late as a request does that arrived with it."""
        while True:
            due = perf_counter() + _HEARTBEAT
            await asyncio.sleep(_HEARTBEAT)
            self._lag = perf_counter() - due

    @property
    def busy(self) -> bool:
        return self._receiving > 0

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        self.last_request = begin = perf_counter()
        response: web.StreamResponse
        try:
            _check_head(request)
            self._check_load()
            content = request.content
            # Most bodies come with their head.
            body = content.read_nowait() if content.is_eof() else await self._receive(request)
            _check_size(len(body))
            ready, response = await self._decided(body)
            TALLY.answered(ready.outcome, perf_counter() - begin, ready.mappings)
        except Refusal as refusal:
            response = refusal.response()
            TALLY.answered(refusal.outcome, perf_counter() - begin)
        except Exception:  # noqa: BLE001 - a defect of ours must not become a refused Pod
            _log.exception("a request could not be answered")
            response = web.Response(status=500, text="internal error, see the webhook's log\n")
            TALLY.answered(metrics.ERROR, perf_counter() - begin)
        if self.state.stopping:
            response.force_close()
        return response

    async def _decided(self, body: bytes) -> tuple[Ready, web.StreamResponse]:
        try:
            review = decode(body)
            namespace = review.namespace or ""
            labels = self.state.namespaces.get(namespace)
            if labels is None and namespace:
                labels = await self.state.ask_namespace(namespace)
            ready = self._memo.decide(review, labels)
            if self._tells:
                _log.debug(
                    "decided", uid=review.uid, namespace=namespace, outcome=ready.outcome, mappings=ready.mappings
                )
        except ReviewError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(error), close=False) from None
        return ready, Answered(answer(review.uid, ready.encoded))

    def _check_load(self) -> None:
        unready = self.state.not_ready()
        if unready is not None:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {unready}", metrics.NOT_READY)
        if self._lag > MOST_LAG:
            # On a connection that is kept: a new one would cost more than an answer.
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "requests wait too long", metrics.OVERLOADED, close=False)

    async def _receive(self, request: BaseRequest) -> bytes:
        """A body that comes in pieces: no more of these at once than the memory is for, and not for ever."""
        size = LARGEST_BODY if request.content_length is None else request.content_length
        _check_size(size)
        if self._receiving >= MOST_REQUESTS or self._receiving_bytes + size > MOST_BYTES:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once", metrics.OVERLOADED)
        self._receiving += 1
        self._receiving_bytes += size
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await _read(request.content)
        except TimeoutError:
            reason = f"the body did not come within {BODY_SECONDS:g} s"
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, reason) from None
        finally:
            self._receiving -= 1
            self._receiving_bytes -= size


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


def _check_head(request: BaseRequest) -> None:
    """Raises Refusal for what can be seen without the body."""
    if request.path != PATH:
        raise Refusal(HTTPStatus.NOT_FOUND, f"there is only {PATH} here")
    if request.method != "POST":
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "send an AdmissionReview with POST")
    headers = request.headers
    if headers.get("Content-Type") != _JSON and request.content_type != _JSON:
        kind = headers.get("Content-Type", "none")[:60]
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {_JSON}, not {kind}")
    if "Content-Encoding" in headers:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body uncompressed")


def _check_size(size: int) -> None:
    if size > LARGEST_BODY:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {LARGEST_BODY} bytes")


async def _read(content: StreamReader) -> bytes:
    chunks, size = [], 0
    while chunk := await content.readany():
        chunks.append(chunk)
        size += len(chunk)
        _check_size(size)
    return b"".join(chunks)
