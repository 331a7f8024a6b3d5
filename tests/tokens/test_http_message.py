"""What is read out of an answer, and what is never quoted."""

from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import HttpAnswer, HttpRequest, decode, error_code, require_success

REQUEST = HttpRequest(
    "the request", "POST", "https://host/path", {"Authorization": "Bearer canaryToken"}, b"a=canaryBody"
)


class Value(msgspec.Struct):
    value: str


CODES = {
    b'{"__type":"com.amazon.coral#AccessDeniedException"}': "AccessDeniedException",
    b'{"Code":"NoPermission","Message":"canary"}': "NoPermission",
    b'{"error":"invalid_client","error_description":"canary"}': "invalid_client",
    b'{"error":{"code":403,"status":"PERMISSION_DENIED","message":"canary"}}': "PERMISSION_DENIED",
    b'{"errors":[{"code":"UNAUTHORIZED","message":"canary"}]}': "UNAUTHORIZED",
    b"<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>": "ExpiredToken",
    b'{"code":"canary with spaces"}': "",
    b'{"code":"canaryToken"}': "",
    b"<Code>canaryBody</Code>": "",
    b'{"code":7}': "",
    b'{"errors":[]}': "",
    b'{"errors":[7]}': "",
    b"<html>canary</html>": "",
    b"[" * 10_000: "",
    b"\xff\xfe": "",
    b"": "",
}


@pytest.mark.parametrize("body", CODES)
def test_error_code_is_read_and_nothing_else_is_quoted(body: bytes) -> None:
    answer = HttpAnswer(403, {}, body)
    assert error_code(REQUEST, answer) == CODES[body]
    with pytest.raises(TokenError) as raised:
        require_success(REQUEST, answer)
    assert "canary" not in str(raised.value)
    assert raised.value.reason is Reason.ACCESS_DENIED


@settings(deadline=None)
@given(st.integers(min_value=100, max_value=599), st.binary(max_size=200))
def test_any_answer_is_a_value_or_an_expected_error(status: int, body: bytes) -> None:
    with suppress(TokenError):
        assert isinstance(decode(REQUEST, HttpAnswer(status, {}, body), Value), Value)


@pytest.mark.parametrize("body", [b'{"value":["canary"]}', b'{"valu":"canary"}', b'"canary"', b'{"value":"canary'])
def test_unreadable_answer_is_not_quoted(body: bytes) -> None:
    with pytest.raises(TokenError) as raised:
        decode(REQUEST, HttpAnswer(200, {}, body), Value)
    assert raised.value.reason is Reason.BAD_ANSWER
    assert "canary" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("0.5", 0.5), ("-1", None), ("x", None), ("1e9", 3600), ("nan", None), ("inf", 3600),
     ("Fri, 27 Nov 2026 12:01:00 GMT", 60)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_time(text: str, seconds: float | None) -> None:
    answer = HttpAnswer(503, {"retry-after": text, "date": "Fri, 27 Nov 2026 12:00:00 GMT"})
    assert answer.retry_after_seconds == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "Fri, 99 Nov 2026 12:00:00 GMT"])
def test_date_that_is_none_is_none(text: str) -> None:
    assert HttpAnswer(200, {"date": text}).date is None
    assert HttpAnswer(200, {"date": "Fri, 27 Nov 2026 12:00:00 GMT"}).date == datetime(2026, 11, 27, 12, tzinfo=UTC)
