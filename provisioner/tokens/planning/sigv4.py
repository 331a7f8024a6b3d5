"""AWS Signature Version 4, for requests whose whole body is at hand. Pure."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from provisioner.tokens.planning.canonical_target import canonical_target
from provisioner.tokens.planning.http_message import HttpRequest

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class AwsCredentials:
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def sign_v4(
    request: HttpRequest, credentials: AwsCredentials, *, region: str, service: str, now: datetime
) -> HttpRequest:
    """The request with the headers of its signature. All headers that it has are signed."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"X-Amz-Date": stamp}
    if credentials.session_token:
        headers["X-Amz-Security-Token"] = credentials.session_token
    request = request.with_headers(headers)
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    signed = {**request.headers, "Host": urlsplit(request.url).netloc}
    canonical = canonical_request(request, signed)
    to_sign = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = signing_key(credentials.secret_access_key, stamp[:8], region, service)
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={_names(signed)}, Signature={signature}"
    )
    return request.with_headers({"Authorization": authorization})


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def canonical_request(request: HttpRequest, headers: Mapping[str, str]) -> str:
    lines = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
    return "\n".join(
        (
            request.method,
            *canonical_target(request.url),
            *(f"{name}:{value}" for name, value in lines),
            "",
            _names(headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    )


def _names(headers: Mapping[str, str]) -> str:
    return ";".join(sorted(name.lower() for name in headers))
