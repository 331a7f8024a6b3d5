"""Alibaba Cloud's credentials: a static key, a role by a ServiceAccount's token (RRSA), the node's RAM role."""

import re
import uuid
from urllib.parse import quote, urlencode

import msgspec

from provisioner.tokens.planning.acs3 import AliyunCredentials
from provisioner.tokens.planning.credential import session_left
from provisioner.tokens.planning.http_message import (
    METADATA_TIMEOUT_SECONDS,
    HttpAnswer,
    HttpRequest,
    decode,
    require_success,
)
from provisioner.tokens.planning.sources import AliyunSource, ProcessIdentity
from provisioner.tokens.providers.context import FetchContext, read_role, text_of

AUDIENCE = "sts.aliyuncs.com"
_METADATA = "http://100.100.100.200"
_METADATA_SESSION_SECONDS = "21600"
_role_name = re.compile(r"[\w.-]{1,64}").fullmatch


class _Session(msgspec.Struct, rename="pascal"):
    access_key_id: str
    access_key_secret: str
    security_token: str
    expiration: str


class _Assumed(msgspec.Struct, rename="pascal"):
    credentials: _Session


async def fetch_aliyun_credentials(context: FetchContext, source: AliyunSource) -> tuple[AliyunCredentials, float]:
    """With the seconds that the session has left; infinite for a static key."""
    identity = source.identity
    if identity.secret_name:
        secret = await context.secret(identity.secret_name)
        found = AliyunCredentials(
            text_of(secret, identity.secret_name, "accessKeyID"),
            text_of(secret, identity.secret_name, "accessKeySecret"),
        )
        return found, float("inf")
    if identity.process is ProcessIdentity.METADATA_SERVER:
        return await _from_metadata(context, source.role_name)
    return await _by_token(context, source)


async def _by_token(context: FetchContext, source: AliyunSource) -> tuple[AliyunCredentials, float]:
    token = await context.web_identity_token(source.identity, AUDIENCE, "aliyun", "ALIBABA_CLOUD_OIDC_TOKEN_FILE")
    query = {
        "Action": "AssumeRoleWithOIDC",
        "Format": "JSON",
        "Version": "2015-04-01",
        "Timestamp": context.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SignatureNonce": uuid.uuid4().hex,
    }
    form = {
        "RoleArn": source.role_arn or context.variable("ALIBABA_CLOUD_ROLE_ARN", "the role (roleARN)"),
        "OIDCProviderArn": source.oidc_provider_arn
        or context.variable("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "the provider (oidcProviderARN)"),
        "OIDCToken": token,
        "RoleSessionName": "sutler",
    }
    base = context.endpoints.url("aliyun-sts", f"https://sts.{source.region}.aliyuncs.com")
    request = HttpRequest(
        f"AssumeRoleWithOIDC of STS {source.region}",
        "POST",
        f"{base}/?{urlencode(query)}",
        {"Content-Type": "application/x-www-form-urlencoded"},
        urlencode(form).encode(),
    )
    answer = await context.send(request)
    return _session(decode(request, answer, _Assumed).credentials, request, answer, context)


async def _from_metadata(context: FetchContext, role: str) -> tuple[AliyunCredentials, float]:
    base = context.endpoints.url("aliyun-metadata", _METADATA) + "/latest"
    name = "the node's metadata"
    begin = HttpRequest(
        name,
        "PUT",
        f"{base}/api/token",
        {"X-aliyun-ecs-metadata-token-ttl-seconds": _METADATA_SESSION_SECONDS},
        timeout_seconds=METADATA_TIMEOUT_SECONDS,
    )
    opened = await context.send(begin)
    require_success(begin, opened)
    token = {"X-aliyun-ecs-metadata-token": opened.body.decode("ascii", "replace").strip()}

    def get(path: str) -> HttpRequest:
        return HttpRequest(name, "GET", base + path, token, timeout_seconds=METADATA_TIMEOUT_SECONDS)

    path = "/meta-data/ram/security-credentials/"
    if not role:
        missing = "the node has no RAM role: attach one to it"
        role = await read_role(context, get(path), is_name=_role_name, missing=missing)
    request = get(path + quote(role, safe=""))
    answer = await context.send(request)
    return _session(decode(request, answer, _Session), request, answer, context)


def _session(
    found: _Session, request: HttpRequest, answer: HttpAnswer, context: FetchContext
) -> tuple[AliyunCredentials, float]:
    left = session_left(found.expiration, answer, context.now(), request.name)
    return AliyunCredentials(found.access_key_id, found.access_key_secret, found.security_token), left
