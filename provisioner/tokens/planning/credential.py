"""What a provider gives: logins, and how long they are good."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import HttpAnswer
from provisioner.tokens.planning.schedule import is_bad_expiry, seconds_left

EVERY = ""
"""The key of a login that is good for every registry of the token."""


@dataclass(frozen=True)
class Login:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class FetchedCredential:
    """Logins by registry key, or one under EVERY, and the seconds that the first of them to end has left."""

    logins: Mapping[str, Login]
    seconds_left: float
    exact: bool = True
    """False where the end is an assumption: the answer named none."""

    @classmethod
    def single(cls, username: str, password: str, left: float) -> "FetchedCredential":
        return cls({EVERY: Login(username, password)}, left)


def split_login(text: str, name: str) -> Login:
    """USER:PASSWORD, split at the first colon: passwords hold colons. Raises TokenError, which quotes nothing."""
    username, colon, password = text.partition(":")
    if not colon or not username or not password:
        raise TokenError(Reason.BAD_ANSWER, f"{name}: the token is not USER:PASSWORD")
    return Login(username, password)


def decode_login(text: str, name: str) -> Login:
    """The base64 of USER:PASSWORD."""
    try:
        return split_login(base64.b64decode(text, validate=True).decode(), name)
    except (binascii.Error, ValueError):
        raise TokenError(Reason.BAD_ANSWER, f"{name}: the token is not base64 of text") from None


def left_until_epoch(seconds: float, answer: HttpAnswer, now: datetime, name: str) -> float:
    try:
        end = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise TokenError(Reason.BAD_EXPIRY, f"{name}: the end of the token is not a time") from None
    return seconds_left(end, answer.date, now)


def left_until(text: str, answer: HttpAnswer, now: datetime, name: str) -> float:
    """`text` is RFC 3339."""
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        raise TokenError(Reason.BAD_EXPIRY, f"{name}: the end of the token is not a time") from None
    return seconds_left(end if end.tzinfo else end.replace(tzinfo=UTC), answer.date, now)


def session_left(text: str, answer: HttpAnswer, now: datetime, name: str) -> float:
    """Seconds left of a session that a request will be signed with.

    Raises TokenError for one that is over: the refusal of the request would read as a missing right.
    """
    left = left_until(text, answer, now, name)
    if is_bad_expiry(left):
        raise TokenError(Reason.BAD_EXPIRY, f"{name}: the session has ended, or ends within a minute")
    return left


class _Claims(msgspec.Struct):
    exp: float


def jwt_expiry(token: str) -> float | None:
    """`exp` of a JSON Web Token, whose signature is the registry's business; None where it can't be read."""
    try:
        _, payload, _ = token.split(".")
        found = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
    except (ValueError, msgspec.MsgspecError):
        return None
    return found.exp
