"""The HTTP side of admission: one request in, one response out.

decided, with any decision            200  AdmissionReview, always allowed
not a readable AdmissionReview        400  the reason
another path, another method          404, 405
the body does not arrive in time      408
larger than 8 MiB                     413
not application/json, or compressed   415
a defect of Sutler                    500  failurePolicy decides about the Pod
not ready, or overloaded              503  Retry-After: the API server tries again within its time-out
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
from webhook.decision_cache import AdmissionOutcome, DecisionCache
from webhook.fast_http import FastResponse, timeout_seconds
from webhook.limits import LARGEST_BODY_BYTES, ConcurrencyLimits, LoadLimiter, OverloadedError
from webhook.mutation import decide
from webhook.review import ReviewError, ReviewRequest, decode, render_review
from webhook.state import WebhookState

PATH = "/mutate"
_LOG_SECONDS = 10.0
"""Least time between two log lines about rejected requests: a client may send many."""
_LONGEST_LOGGED = 60
_LONGEST_NAMESPACE = 63
"""Characters of any DNS label. A client that sends a longer one is not the API server, which then is not asked."""

_JSON = "application/json"
METRICS = metrics.register(AdmissionOutcome)
_log = log.get(__name__)


class RejectedRequest(Exception):  # noqa: N818 - a response, not a defect
    """A response other than a decision."""

    def __init__(
        self, status: HTTPStatus, reason: str, outcome: str = metrics.BAD_REQUEST, *, close: bool = True
    ) -> None:
        """`outcome` is what it is counted as; `close` closes the connection after the response."""
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
    """Responds to requests by the state of the moment."""

    def __init__(self, state: WebhookState, limits: ConcurrencyLimits | None = None) -> None:
        self.state = state
        self.last_request = perf_counter()
        self.load = LoadLimiter(limits or ConcurrencyLimits())
        self.callers: set[object] = set()
        """Connections on which a review has been answered."""
        self._cache = DecisionCache()
        self._logs_decisions = logging.getLogger(__name__).isEnabledFor(logging.DEBUG)
        self._last_logged = -_LOG_SECONDS

    @property
    def busy(self) -> bool:
        return self.load.bodies > 0

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        self.last_request = begin = perf_counter()
        review: ReviewRequest | None = None
        response: web.StreamResponse
        try:
            timeout = _timeout(request.raw_path)
            _check_head(request)
            self._check_load(timeout)
            content = request.content
            # Most bodies arrive together with the head.
            body = content.read_nowait() if content.is_eof() else await self._receive(request, timeout)
            _check_size(len(body))
            review = decode(body)
            labels = self.state.namespaces.get(review.namespace or "")
            if labels is None:
                labels = await self._get_labels(review.namespace or "", timeout)
            decision = decide(review, labels, self.state, self._cache)
            response = FastResponse(render_review(review.uid, decision.response))
            METRICS.record(decision.outcome, perf_counter() - begin, decision.mappings)
            self.callers.add(request.protocol)
            if self._logs_decisions:
                _log.debug(
                    "decided",
                    uid=review.uid,
                    namespace=review.namespace,
                    outcome=decision.outcome.value,
                    mappings=decision.mappings,
                )
        except ReviewError as error:
            response = self._reject(RejectedRequest(HTTPStatus.BAD_REQUEST, str(error), close=False), begin)
        except RejectedRequest as rejection:
            response = self._reject(rejection, begin)
        except Exception:  # noqa: BLE001 - a defect must not become a rejected Pod
            which = {"uid": review.uid[:_LONGEST_LOGGED], "namespace": review.namespace} if review else {}
            _log.exception("unhandled error in a request", **which)
            response = web.Response(status=500, text="internal error, see the webhook's log\n")
            METRICS.record(metrics.ERROR, perf_counter() - begin)
        if self.state.stopping:
            response.force_close()
        return response

    def _reject(self, rejection: RejectedRequest, begin: float) -> web.Response:
        METRICS.record(rejection.outcome, perf_counter() - begin)
        if rejection.outcome == metrics.BAD_REQUEST and begin - self._last_logged >= _LOG_SECONDS:
            self._last_logged = begin
            _log.warning("rejected a request", status=rejection.status.value, reason=str(rejection))
        return rejection.response()

    async def _get_labels(self, namespace: str, timeout: float) -> Labels | None:  # noqa: ASYNC109 - the API server's
        """Read the labels of a namespace that is not cached yet, within half of the API server's time-out."""
        if not 0 < len(namespace) <= _LONGEST_NAMESPACE:
            return None
        try:
            async with asyncio.timeout(timeout / 2):
                return await self.state.get_namespace_labels(namespace)
        except TimeoutError:
            return None

    def _check_load(self, timeout: float) -> None:
        unready = self.state.not_ready()
        if unready is not None:
            raise RejectedRequest(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {unready}", metrics.NOT_READY)
        if self.load.lag > min(self.load.limits.lag_seconds, timeout / 2):
            # The connection is kept: a new one would cost more than a decision.
            raise RejectedRequest(
                HTTPStatus.SERVICE_UNAVAILABLE, "overloaded: requests wait too long", metrics.OVERLOADED, close=False
            )

    async def _receive(self, request: BaseRequest, timeout: float) -> bytes:  # noqa: ASYNC109 - the API server's
        """Read a body that arrives in pieces, within the limits of memory and time."""
        _check_size(request.content_length or 0)
        chunks, content = [], request.content
        try:
            with self.load.body() as budget:
                async with asyncio.timeout(timeout):
                    while chunk := await content.readany():
                        chunks.append(chunk)
                        budget.consume(len(chunk))
                        _check_size(budget.size)
                return b"".join(chunks)
        except OverloadedError:
            raise RejectedRequest(
                HTTPStatus.SERVICE_UNAVAILABLE, "overloaded: too many requests at once", metrics.OVERLOADED
            ) from None
        except TimeoutError:
            raise RejectedRequest(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {timeout:g} s") from None
        except ConnectionError:
            raise RejectedRequest(
                HTTPStatus.BAD_REQUEST, "the connection was lost before the whole body arrived"
            ) from None


def _timeout(target: str) -> float:
    try:
        return timeout_seconds(target, PATH)
    except KeyError:
        raise RejectedRequest(HTTPStatus.NOT_FOUND, f"the only path is {PATH}") from None


def _check_head(request: BaseRequest) -> None:
    """Raises RejectedRequest for what can be seen without the body."""
    if request.method != "POST":
        raise RejectedRequest(HTTPStatus.METHOD_NOT_ALLOWED, "send an AdmissionReview with POST")
    headers = request.headers
    if headers.get("Content-Type") != _JSON and request.content_type != _JSON:
        kind = headers.get("Content-Type", "none")[:_LONGEST_LOGGED]
        raise RejectedRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {_JSON}, not {kind}")
    if "Content-Encoding" in headers:
        raise RejectedRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body uncompressed")


def _check_size(size: int) -> None:
    if size > LARGEST_BODY_BYTES:
        raise RejectedRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body exceeds {LARGEST_BODY_BYTES} bytes")
