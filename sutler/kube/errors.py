"""Errors of calls to the API server.

KubeError
├── ConfigError              kubeconfig, service account: nothing was sent
├── Unreachable              no (whole) response: the outcome of a write is unknown
├── LeaseLost                this process is not the leader: nothing was sent
└── ApiError                 the API server rejected the call
    ├── BadRequest           400
    ├── Unauthorized         401
    ├── Forbidden            403
    ├── NotFound             404
    ├── Conflict             409, the object has changed
    ├── AlreadyExists        409 on creation
    ├── Gone                 410, the resourceVersion is too old
    ├── Invalid              422
    ├── TooManyRequests      429
    └── Unavailable          5xx, and responses of proxies
"""

from typing import Any, NotRequired, TypedDict

import msgspec

from sutler.errors import SutlerError
from sutler.kube.redaction import WITHHELD, redacted
from sutler.text import shortened

# Seconds. A longer Retry-After is cut to this.
LONGEST_RETRY_AFTER = 300.0


class KubeError(SutlerError):
    """The root of this tree."""


class ConfigError(KubeError):
    """The kubeconfig or the service account is missing or not usable."""


class Unreachable(KubeError):  # noqa: N818 - named after what happened, as all of them
    pass


class LeaseLost(KubeError):  # noqa: N818
    pass


class ApiError(KubeError):
    """A response that is not 2xx.

    `reason` is the CamelCase reason of the Status ("" when the response is no Status), `message` its shortened message.
    `retry_after` is in seconds, None when the response has none.
    """

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        *,
        call: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        super().__init__(": ".join(part for part in (call, f"{status} {reason}".rstrip(), message) if part))


class BadRequest(ApiError):  # noqa: N818
    pass


class Unauthorized(ApiError):  # noqa: N818
    pass


class Forbidden(ApiError):  # noqa: N818
    pass


class NotFound(ApiError):  # noqa: N818
    pass


class Conflict(ApiError):  # noqa: N818
    pass


class AlreadyExists(ApiError):  # noqa: N818
    pass


class Gone(ApiError):  # noqa: N818
    pass


class Invalid(ApiError):  # noqa: N818
    pass


class TooManyRequests(ApiError):  # noqa: N818
    pass


class Unavailable(ApiError):  # noqa: N818
    pass


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


class StatusCause(TypedDict, total=False):
    reason: str
    message: str
    field: str


class StatusDetails(TypedDict, total=False):
    causes: list[StatusCause]
    retryAfterSeconds: float


class Status(TypedDict):
    """The fields of `v1.Status` that are used."""

    kind: str
    reason: NotRequired[str]
    message: NotRequired[str]
    details: NotRequired[StatusDetails | None]
    code: NotRequired[int]


_decoder = msgspec.json.Decoder(Status)


def api_error(status: int, body: bytes, *, call: str, retry_after: str | None = None, sent: Any = None) -> ApiError:
    """Make the error for a response of the API server, or of a proxy before it.

    Args:
        status: The status of the response.
        body: The body of the response; it is dropped unless it is a Status.
        call: The request, for the text: "GET secrets default/a".
        retry_after: The value of the header Retry-After.
        sent: The body of a request that held secrets. The message may quote them; they are removed from it.
    """
    parsed = _status(body)
    details = parsed.get("details") or {}
    reason = parsed.get("reason", "")
    message = parsed.get("message", "")
    causes = [each for cause in details.get("causes") or () if (each := _cause(cause)) not in message]
    message = ", ".join(filter(None, (message, *causes)))
    if sent is not None:
        fields = ", ".join(
            f"{cause.get('field', '?')}: {cause.get('reason', '?')}" for cause in details.get("causes") or ()
        )
        message = redacted(message, sent) or fields or WITHHELD
    return _kind(status, reason)(
        status,
        shortened(reason, 64),
        shortened(message),
        call=call,
        retry_after=_seconds(retry_after, details),
    )


def _cause(cause: StatusCause) -> str:
    """One cause, in the words that the API server uses in its message."""
    return ": ".join(filter(None, (cause.get("field"), cause.get("message") or cause.get("reason"))))


def status_error(status: Status, *, call: str) -> ApiError:
    """Make the error for a Status that arrived in a watch."""
    code, reason = status.get("code", 500), status.get("reason", "")
    return _kind(code, reason)(code, shortened(reason, 64), shortened(status.get("message", "")), call=call)


def _status(body: bytes) -> Status:
    try:
        status = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Status(kind="")
    return status if status["kind"] == "Status" else Status(kind="")


def _kind(status: int, reason: str) -> type[ApiError]:
    if reason == "AlreadyExists":
        return AlreadyExists
    # "Expired" is the reason for a watch or a continue token that is too old; its code differs.
    if reason == "Expired":
        return Gone
    return _BY_STATUS.get(status, Unavailable if status >= 500 else ApiError)  # noqa: PLR2004 - HTTP's own classes


def _seconds(header: str | None, details: StatusDetails) -> float | None:
    """The Retry-After in seconds. Its other form, a date, is not used by API servers."""
    try:
        seconds = float(header) if header else float(details.get("retryAfterSeconds") or 0)
    except ValueError:
        return None
    return min(seconds, LONGEST_RETRY_AFTER) if seconds > 0 else None
