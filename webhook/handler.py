"""The HTTP side: which request gets which status.

decided, whatever the decision        200  AdmissionReview, always allowed
no AdmissionReview that can be read   400  the reason
another path, another method          404, 405
a body that does not come in time     408
larger than 8 MiB                     413
not application/json, or compressed   415
a defect of ours                      500  failurePolicy decides
not ready, or too much at once        503  Retry-After, so the API server tries again within its time-out
"""

import asyncio
import logging
from http import HTTPStatus
from time import perf_counter

from aiohttp import web
from aiohttp.web_request import BaseRequest

from sutler import log
from sutler.registry.injection import Labels
from webhook import metrics
from webhook.deadline import Deadlines
from webhook.decision_cache import CachedDecision, DecisionCache
from webhook.fast_http import FastResponse
from webhook.limits import ConcurrencyLimits, LoadLimiter, OverloadedError
from webhook.mutation import AdmissionOutcome
from webhook.review import ReviewError, ReviewRequest, answer, decode
from webhook.state import WebhookState

PATH = "/mutate"
LARGEST_BODY = 8 * 1024**2
"""Bytes. The API server sends object and oldObject, each up to 3 MiB as JSON, and little more."""
KEEP_ALIVE_SECONDS = 300.0
"""Longer than the 90 s for which the API server keeps an idle connection: were we to close first, a request that meets
the closing connection would fail and not be tried again."""
_TELL_SECONDS = 10.0
"""Between two lines in the log about requests that can't be read: whoever sends them may send many."""
_LONGEST_SHOWN = 60
_LONGEST_NAMESPACE = 63
"""Characters, as for every DNS label. Whoever sends a longer one is not the API server, which is not asked for it."""

_JSON = "application/json"
TALLY = metrics.register(AdmissionOutcome)
_log = log.get(__name__)


class RefusedRequest(Exception):  # noqa: N818 - an answer, not an error of ours
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


class AdmissionHandler:
    """Answers requests by what the state says at that moment."""

    def __init__(self, state: WebhookState, limits: ConcurrencyLimits | None = None) -> None:
        self.state = state
        self.last_request = perf_counter()
        self.load = LoadLimiter(limits or ConcurrencyLimits())
        self.callers: set[object] = set()
        """Connections on which a review has been answered."""
        self._memo = DecisionCache(state)
        self._deadlines = Deadlines(PATH)
        self._tells = logging.getLogger(__name__).isEnabledFor(logging.DEBUG)
        self._told = -_TELL_SECONDS

    @property
    def busy(self) -> bool:
        return self.load.bodies > 0

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        self.last_request = begin = perf_counter()
        response: web.StreamResponse
        try:
            seconds = self._seconds(request.raw_path)
            _check_head(request)
            self._check_load(seconds)
            content = request.content
            # Most bodies come with their head.
            body = content.read_nowait() if content.is_eof() else await self._receive(request, seconds)
            _check_size(len(body))
            ready, response = await self._decided(body, seconds)
            TALLY.answered(ready.outcome, perf_counter() - begin, ready.mappings)
            if request.protocol not in self.callers:
                self.callers.add(request.protocol)
        except RefusedRequest as refusal:
            response = refusal.response()
            TALLY.answered(refusal.outcome, perf_counter() - begin)
            self._tell(refusal, begin)
        except Exception:  # noqa: BLE001 - a defect of ours must not become a refused Pod
            _log.exception("a request could not be answered")
            response = web.Response(status=500, text="internal error, see the webhook's log\n")
            TALLY.answered(metrics.ERROR, perf_counter() - begin)
        if self.state.stopping:
            response.force_close()
        return response

    async def _decided(self, body: bytes, seconds: float) -> tuple[CachedDecision, web.StreamResponse]:
        try:
            review = decode(body)
        except ReviewError as error:
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, str(error), close=False) from None
        try:
            ready = self._memo.decide(review, await self._labels(review, seconds))
        except ReviewError as error:
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, str(error), close=False) from None
        except Exception:  # noqa: BLE001 - as in handle, where nobody knows which request it was
            _log.exception("a request could not be decided", uid=_shown(review.uid), namespace=review.namespace)
            raise RefusedRequest(
                HTTPStatus.INTERNAL_SERVER_ERROR, "internal error, see the webhook's log", metrics.ERROR, close=False
            ) from None
        if self._tells:
            _log.debug(
                "decided", uid=review.uid, namespace=review.namespace, outcome=ready.outcome, mappings=ready.mappings
            )
        return ready, FastResponse(answer(review.uid, ready.encoded))

    async def _labels(self, review: ReviewRequest, seconds: float) -> Labels | None:
        """Of the namespace. One that is too new to be known is asked for, for at most half of the API server's time."""
        namespace = review.namespace or ""
        labels = self.state.namespaces.get(namespace)
        if labels is not None or not 0 < len(namespace) <= _LONGEST_NAMESPACE:
            return labels
        try:
            async with asyncio.timeout(seconds / 2):
                return await self.state.ask_namespace(namespace)
        except TimeoutError:
            return None

    def _seconds(self, target: str) -> float:
        try:
            return self._deadlines.seconds(target)
        except KeyError:
            raise RefusedRequest(HTTPStatus.NOT_FOUND, f"there is only {PATH} here") from None

    def _check_load(self, seconds: float) -> None:
        unready = self.state.not_ready()
        if unready is not None:
            raise RefusedRequest(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {unready}", metrics.NOT_READY)
        if self.load.lag > min(self.load.limits.lag, seconds / 2):
            # On a connection that is kept: a new one would cost more than an answer.
            raise RefusedRequest(
                HTTPStatus.SERVICE_UNAVAILABLE, "requests wait too long", metrics.OVERLOADED, close=False
            )

    async def _receive(self, request: BaseRequest, seconds: float) -> bytes:
        """A body that comes in pieces: no more of these at once than the memory is for, while somebody waits."""
        _check_size(request.content_length or 0)
        chunks, content = [], request.content
        try:
            with self.load.body() as room:
                async with asyncio.timeout(seconds):
                    while chunk := await content.readany():
                        chunks.append(chunk)
                        room.take(len(chunk))
                        _check_size(room.size)
                return b"".join(chunks)
        except OverloadedError:
            raise RefusedRequest(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once", metrics.OVERLOADED
            ) from None
        except TimeoutError:
            raise RefusedRequest(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {seconds:g} s") from None
        except ConnectionError:
            raise RefusedRequest(
                HTTPStatus.BAD_REQUEST, "the connection was lost before the whole body had come"
            ) from None

    def _tell(self, refusal: RefusedRequest, now: float) -> None:
        if refusal.outcome == metrics.BAD_REQUEST and now - self._told >= _TELL_SECONDS:
            self._told = now
            _log.warning("a request was refused", status=refusal.status.value, reason=str(refusal))


def make_runner(state: WebhookState | AdmissionHandler) -> web.ServerRunner:
    """The server without a socket, made while the event loop runs.

    It is aiohttp's low-level one: there is one path, and routing costs a good deal.
    """
    admission = state if isinstance(state, AdmissionHandler) else AdmissionHandler(state)
    # The server takes these; its runner would swallow them.
    server = web.Server(
        admission.handle,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        auto_decompress=False,  # what is packed is refused, so it must not be unpacked first
    )
    return web.ServerRunner(server)


def _check_head(request: BaseRequest) -> None:
    """Raises Refusal for what can be seen without the body."""
    if request.method != "POST":
        raise RefusedRequest(HTTPStatus.METHOD_NOT_ALLOWED, "send an AdmissionReview with POST")
    headers = request.headers
    if headers.get("Content-Type") != _JSON and request.content_type != _JSON:
        kind = _shown(headers.get("Content-Type", "none"))
        raise RefusedRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {_JSON}, not {kind}")
    if "Content-Encoding" in headers:
        raise RefusedRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body uncompressed")


def _check_size(size: int) -> None:
    if size > LARGEST_BODY:
        raise RefusedRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {LARGEST_BODY} bytes")


def _shown(text: str) -> str:
    return text[:_LONGEST_SHOWN]
