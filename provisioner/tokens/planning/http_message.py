"""Requests and answers of HTTP as pure data, and how an answer is read without quoting it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec

from provisioner.tokens.planning.failure import Reason, TokenError

T = TypeVar("T")

TIMEOUT_SECONDS = 10.0
METADATA_TIMEOUT_SECONDS = 2.0
"""A metadata server is on the node; where none is, nothing answers at all."""

LONGEST_RETRY_AFTER_SECONDS = 3600.0

_OK = range(200, 300)
_REDIRECTS = range(300, 400)
_DENIED = (401, 403)
_TOO_MANY = 429
_SERVER_ERRORS = range(500, 600)

_code = re.compile(r"[A-Za-z][A-Za-z0-9_.#-]{1,63}").fullmatch
_xml_code = re.compile(rb"<Code>\s*([A-Za-z0-9_.-]{2,64})\s*</Code>").search
_CODE_FIELDS = ("__type", "code", "Code", "error", "status")
_DENIED_CODES = frozenset(
    (
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "Forbidden.RAM",
        "IDPRejectedClaim",
        "IncompleteSignature",
        "InvalidAccessKeyId.NotFound",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "InvalidSecurityToken",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "NoPermission",
        "NoPrivilege",
        "NotAuthorized",
        "OptInRequired",
        "PERMISSION_DENIED",
        "SignatureDoesNotMatch",
        "UNAUTHENTICATED",
        "UnrecognizedClientException",
        "invalid_client",
        "invalid_grant",
        "invalid_target",
        "unauthorized_client",
    )
)
_THROTTLED_CODES = frozenset(("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"))


@dataclass(frozen=True)
class HttpRequest:
    """One request. `name` stands for it in error texts ("GetAuthorizationToken of ECR eu-west-1")."""

    name: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS

    def with_headers(self, headers: Mapping[str, str]) -> "HttpRequest":
        return replace(self, headers={**self.headers, **headers})


@dataclass(frozen=True)
class HttpAnswer:
    """One answer. The names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def date(self) -> datetime | None:
        """The endpoint's own clock."""
        try:
            found = parsedate_to_datetime(self.headers.get("date", ""))
        except (ValueError, TypeError):
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    @property
    def retry_after_seconds(self) -> float | None:
        text = self.headers.get("retry-after", "")
        try:
            seconds = float(text)
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(text) - (self.date or datetime.now(UTC))).total_seconds()
            except (ValueError, TypeError):
                return None
        return min(seconds, LONGEST_RETRY_AFTER_SECONDS) if seconds > 0 else None


def decode(request: HttpRequest, answer: HttpAnswer, kind: type[T]) -> T:
    """The JSON of a 2xx answer. Raises TokenError, which quotes nothing of the answer but its error code."""
    require_success(request, answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # The library's texts name a place and a type, never a value; the place is a path of this code's field names.
        where = f": {error}" if isinstance(error, msgspec.ValidationError) else ""
        raise TokenError(
            Reason.BAD_ANSWER, f"{request.name}: the answer does not have the expected JSON{where}"
        ) from None


def require_success(request: HttpRequest, answer: HttpAnswer) -> None:
    """Raises TokenError for any answer that is not 2xx."""
    if answer.status in _OK:
        return
    code = error_code(request, answer)
    said = f"{request.name}: HTTP {answer.status}" + (f" {code}" if code else "")
    raise TokenError(
        _reason(answer.status, code), said + _advice(answer.status, code), retry_after=answer.retry_after_seconds
    )


def error_code(request: HttpRequest, answer: HttpAnswer) -> str:
    """The error code of the answer; empty if there is none, or if it repeats a part of the request."""
    code = _xml_code(answer.body)
    found = code[1].decode() if code else _json_code(answer.body)
    found = found.rpartition("#")[2]
    sent = (request.url, *request.headers.values(), request.body.decode(errors="replace"))
    return found if _code(found) and not any(found in each for each in sent) else ""


def _json_code(body: bytes) -> str:
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if isinstance(found, dict) and isinstance(found.get("errors"), list) and found["errors"]:
        found = found["errors"][0]
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        found = found["error"]
    if not isinstance(found, dict):
        return ""
    return next((value for name in _CODE_FIELDS if isinstance(value := found.get(name), str)), "")


def _reason(status: int, code: str) -> Reason:
    if status == _TOO_MANY or code in _THROTTLED_CODES:
        return Reason.THROTTLED
    if status in _DENIED or code in _DENIED_CODES:
        return Reason.ACCESS_DENIED
    if status in _REDIRECTS:
        return Reason.REDIRECTED
    if status in _SERVER_ERRORS:
        return Reason.ENDPOINT_FAILED
    return Reason.BAD_ANSWER


def _advice(status: int, code: str) -> str:
    if status in _REDIRECTS:
        return ". Sutler never follows redirects: correct the endpoint or the proxy"
    if status in _DENIED or code in _DENIED_CODES:
        return ". Check the identity, its trust policy and its permissions in the cloud"
    return ""
