"""Tokens of ServiceAccounts as an API server would sign them; the fakes believe one shared key."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

_KEY = b"the issuer's key"


class Refused(Exception):  # noqa: N818 - what the cloud does
    """With the HTTP status and the error code of the cloud."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


def service_account_token(audience: str, subject: str = "sutler-tokens", life_seconds: float = 600.0) -> str:
    claims = {
        "aud": [audience],
        "sub": f"system:serviceaccount:sutler-system:{subject}",
        "exp": time.time() + life_seconds,
    }
    return signed(claims)


def signed(claims: dict[str, Any]) -> str:
    body = f"{_part({'alg': 'HS256'})}.{_part(claims)}"
    return f"{body}.{_signature(body)}"


def check_token(token: str, audience: str, code: str = "InvalidIdentityToken") -> dict[str, Any]:
    """The claims. Raises Refused for a token that is not the issuer's, has ended, or has another audience."""
    body, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature, _signature(body)):
        raise Refused(400, code)
    payload = body.partition(".")[2]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if claims["exp"] < time.time() or audience not in claims["aud"]:
        raise Refused(400, code)
    return claims


def _signature(body: str) -> str:
    return base64.urlsafe_b64encode(hmac.new(_KEY, body.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
