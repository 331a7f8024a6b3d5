"""What becomes of an API server's refusal: its own words, without the secrets that the request held."""

import base64
import json
from typing import Any

import pytest

from sutler.kube.errors import ApiError, BadRequest, Forbidden, Invalid, api_error

PASSWORD, AUTH = "hunter2-and-more", base64.b64encode(b"robot:hunter2-and-more").decode()
CONFIG = json.dumps({"auths": {"quay.io": {"username": "robot", "password": PASSWORD, "auth": AUTH}}})
ENCODED = base64.b64encode(CONFIG.encode()).decode()
SECRET = {"metadata": {"name": "pull"}, "data": {".dockerconfigjson": ENCODED}}
PATCH = [
    {"op": "add", "path": "/metadata/labels/a", "value": "pull"},
    {"op": "add", "path": "/data", "value": {".dockerconfigjson": ENCODED}},
]
REVIEW = {"kind": "TokenReview", "spec": {"token": PASSWORD}}

IMMUTABLE = "Forbidden: field is immutable when `immutable` is set"
TOO_LONG = "Too long: must have at most 1048576 bytes"


def refusal(code: int, reason: str, message: str, *causes: dict[str, str], sent: Any = SECRET) -> ApiError:
    status = {"kind": "Status", "code": code, "reason": reason, "message": message, "details": {"causes": causes}}
    return api_error(code, json.dumps(status).encode(), call="POST secrets a/pull", sent=sent)


@pytest.mark.parametrize(
    ("code", "message", "causes"),
    [
        (422, f'Secret "pull" is invalid: data: {IMMUTABLE}', [{"field": "data", "message": IMMUTABLE}]),
        (422, f'Secret "pull" is invalid: data: {TOO_LONG}', [{"field": "data", "message": TOO_LONG}]),
        (403, 'secrets "pull" is forbidden: exceeded quota: small, requested: count/secrets=1', []),
        (400, 'admission webhook "policy.example.com" denied the request: copies are not allowed', []),
        (413, "Request entity too large: limit is 3145728", []),
        (500, "etcdserver: request is too large", []),
        (403, 'secrets "pull" is forbidden: unable to create new content in namespace a', []),
    ],
)
@pytest.mark.parametrize("sent", [SECRET, PATCH, None])
def test_refusal_has_the_api_servers_words(code: int, message: str, causes: list[dict[str, str]], sent: Any) -> None:
    assert refusal(code, "", message, *causes, sent=sent).message == message


def test_cause_that_the_message_lacks_is_added_with_its_message() -> None:
    cause = {"field": "data", "reason": "FieldValueForbidden", "message": IMMUTABLE}
    assert (
        refusal(422, "Invalid", "the request is invalid", cause).message == f"the request is invalid, data: {IMMUTABLE}"
    )
    assert refusal(422, "Invalid", "", cause).message == f"data: {IMMUTABLE}"


@pytest.mark.parametrize("password", ['a"b\\c&d<e>', "pässw&rd", "line\nbreak"])
def test_secret_that_a_refusal_quotes_escaped_is_taken_out(password: str) -> None:
    config = json.dumps({"auths": {"quay.io": {"auth": base64.b64encode(f"robot:{password}".encode()).decode()}}})
    sent = {"data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()}, "stringData": {"a": password}}
    plain, ascii_only = json.dumps(password, ensure_ascii=False), json.dumps(password)
    for quoted in (plain, ascii_only, plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")):
        message = refusal(400, "BadRequest", f"denied: {quoted}", sent=sent).message
        assert message == 'denied: "…"'


@pytest.mark.parametrize("quoted", [PASSWORD, AUTH, CONFIG, ENCODED, f"robot:{PASSWORD}", f"x{PASSWORD}x"])
@pytest.mark.parametrize("sent", [SECRET, PATCH, REVIEW, {"stringData": {"a": CONFIG}}])
def test_secret_that_a_refusal_quotes_is_taken_out(quoted: str, sent: Any) -> None:
    error = refusal(400, "BadRequest", f'admission webhook "w" denied the request: no {quoted} here', sent=sent)
    assert isinstance(error, BadRequest)
    assert PASSWORD not in str(error)
    assert sent is REVIEW or (AUTH not in str(error) and ENCODED not in str(error))
    assert 'admission webhook "w" denied the request: no' in str(error)


@pytest.mark.parametrize(
    "message",
    [
        f'Secret in version "v1" cannot be handled as a Secret: error found in #10 byte of ...|: "{ENCODED[:20]}|...',
        f"illegal base64 data at input byte 8: {ENCODED[:30]}",
        f"unable to decode patch: {PASSWORD[:10]}",
    ],
)
def test_refusal_that_may_quote_a_piece_is_withheld(message: str) -> None:
    assert refusal(400, "BadRequest", message).message == "(text withheld: it may quote the secret)"
    cause = {"field": "data", "reason": "FieldValueInvalid", "message": message}
    assert refusal(422, "Invalid", message, cause).message == "data: FieldValueInvalid"


def test_names_are_no_secrets() -> None:
    """A copy's label holds the mapping's name, and a config the registry and the user."""
    message = 'secrets "pull" is forbidden: User "robot" may not, for quay.io'
    error = refusal(403, "Forbidden", message, sent=PATCH)
    assert isinstance(error, Forbidden)
    assert error.message == message


def test_refusal_of_an_invalid_object_names_each_field() -> None:
    message = 'RegistryMapping.sutler.dev "a" is invalid: spec.registries: Required value'
    error = refusal(422, "Invalid", message, {"field": "spec.registries", "message": "Required value"}, sent=None)
    assert isinstance(error, Invalid)
    assert error.message == message
