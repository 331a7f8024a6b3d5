"""Alibaba Cloud's signature V3 (ACS3-HMAC-SHA256). Pure."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from provisioner.tokens.planning.canonical_target import canonical_target
from provisioner.tokens.planning.http_message import HttpRequest

_ALGORITHM = "ACS3-HMAC-SHA256"


@dataclass(frozen=True)
class AliyunCredentials:
    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)


def sign_acs3(
    request: HttpRequest, credentials: AliyunCredentials, *, action: str, version: str, nonce: str, now: datetime
) -> HttpRequest:
    """The request with the headers of its signature."""
    headers = {
        "x-acs-action": action,
        "x-acs-version": version,
        "x-acs-date": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": hashlib.sha256(request.body).hexdigest(),
    }
    if credentials.security_token:
        headers["x-acs-security-token"] = credentials.security_token
    request = request.with_headers(headers)
    signed = {"host": urlsplit(request.url).netloc, **headers}
    canonical = _canonical_request(request, signed)
    to_sign = f"{_ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(credentials.access_key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"{_ALGORITHM} Credential={credentials.access_key_id},"
        f"SignedHeaders={';'.join(sorted(signed))},Signature={signature}"
    )
    return request.with_headers({"Authorization": authorization})


def _canonical_request(request: HttpRequest, headers: Mapping[str, str]) -> str:
    return "\n".join(
        (
            request.method,
            *canonical_target(request.url),
            *(f"{name}:{headers[name].strip()}" for name in sorted(headers)),
            "",
            ";".join(sorted(headers)),
            headers["x-acs-content-sha256"],
        )
    )
