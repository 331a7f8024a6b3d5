"""AWS credentials: a static key, a role by a ServiceAccount's token (IRSA), EKS Pod Identity, the instance's role."""

import re
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree as ET

import msgspec

from provisioner.tokens.planning.credential import session_left
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import (
    METADATA_TIMEOUT_SECONDS,
    HttpAnswer,
    HttpRequest,
    decode,
    require_success,
)
from provisioner.tokens.planning.sigv4 import AwsCredentials, sign_v4
from provisioner.tokens.planning.sources import AwsSource, ProcessIdentity
from provisioner.tokens.providers.context import FetchContext, read_role, read_token_file, text_of

AUDIENCE = "sts.amazonaws.com"
SESSION_NAME = "sutler"

_STS_VERSION = "2011-06-15"
_METADATA = "http://169.254.169.254"
_METADATA_SESSION_SECONDS = "21600"
_CONTAINER_HOSTS = frozenset(("127.0.0.1", "::1", "localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"))
_role_name = re.compile(r"[\w+=,.@-]{1,64}").fullmatch


class _MetadataCredentials(msgspec.Struct, rename="pascal"):
    """Of the instance's metadata and of EKS Pod Identity."""

    access_key_id: str
    secret_access_key: str
    token: str
    expiration: str


async def fetch_aws_credentials(context: FetchContext, source: AwsSource) -> AwsCredentials:
    """Of the identity that the object names, or of its role. Raises TokenError."""
    identity = source.identity
    if identity.service_account_name or identity.process is ProcessIdentity.WEB_IDENTITY:
        token = await context.web_identity_token(identity, AUDIENCE, "aws", "AWS_WEB_IDENTITY_TOKEN_FILE")
        role = source.role_arn or context.variable("AWS_ROLE_ARN", "the role (roleARN)")
        return await _assume_role_with_web_identity(context, source, role, token)
    if identity.process is ProcessIdentity.POD_IDENTITY:
        found = await _container_credentials(context)
    elif identity.process is ProcessIdentity.METADATA_SERVER:
        found = await _instance_credentials(context)
    else:
        secret = await context.secret(identity.secret_name)
        found = AwsCredentials(
            text_of(secret, identity.secret_name, "accessKeyID"),
            text_of(secret, identity.secret_name, "secretAccessKey"),
            text_of(secret, identity.secret_name, "sessionToken", required=False),
        )
    return await _assume_role(context, source, found) if source.role_arn else found


async def _assume_role_with_web_identity(
    context: FetchContext, source: AwsSource, role: str, token: str
) -> AwsCredentials:
    form = _form("AssumeRoleWithWebIdentity", role) | {"WebIdentityToken": token}
    request = _sts_request(context, source, "AssumeRoleWithWebIdentity", form)
    return _session(request, await context.send(request), context)


async def _assume_role(context: FetchContext, source: AwsSource, credentials: AwsCredentials) -> AwsCredentials:
    request = _sts_request(context, source, "AssumeRole", _form("AssumeRole", source.role_arn))
    sent, answer = await context.send_signed(
        lambda now: sign_v4(request, credentials, region=source.region, service="sts", now=now)
    )
    return _session(sent, answer, context)


def _form(action: str, role: str) -> dict[str, str]:
    return {"Action": action, "Version": _STS_VERSION, "RoleArn": role, "RoleSessionName": SESSION_NAME}


def _sts_request(context: FetchContext, source: AwsSource, action: str, form: dict[str, str]) -> HttpRequest:
    return HttpRequest(
        f"{action} of STS {source.region}",
        "POST",
        context.endpoints.url("aws-sts", f"https://sts.{source.region}.{source.suffix}") + "/",
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        urlencode(form).encode(),
    )


def _session(request: HttpRequest, answer: HttpAnswer, context: FetchContext) -> AwsCredentials:
    require_success(request, answer)
    if b"<!DOCTYPE" in answer.body or b"<!ENTITY" in answer.body:
        raise TokenError(Reason.BAD_ANSWER, f"{request.name}: the answer is XML with a document type")
    try:
        root = ET.fromstring(answer.body)  # noqa: S314 - it has no document type, so no entities either
    except (ET.ParseError, ValueError):
        raise TokenError(Reason.BAD_ANSWER, f"{request.name}: the answer is not XML") from None
    found = next((each for each in root.iter() if each.tag.rpartition("}")[2] == "Credentials"), None)
    fields = {each.tag.rpartition("}")[2]: each.text or "" for each in (found if found is not None else ())}
    try:
        key, secret, token, expiration = (
            fields[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        )
    except KeyError as missing:
        raise TokenError(Reason.BAD_ANSWER, f"{request.name}: the answer has no {missing.args[0]}") from None
    session_left(expiration, answer, context.now(), request.name)
    return AwsCredentials(key, secret, token)


async def _container_credentials(context: FetchContext) -> AwsCredentials:
    """EKS Pod Identity. The token's file holds what the header is to be, but for a line break."""
    url = context.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", "EKS Pod Identity's endpoint")
    parts = urlsplit(url)
    if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in _CONTAINER_HOSTS):
        raise TokenError(
            Reason.IDENTITY_MISSING,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or one of the agent's own addresses such as "
            "http://169.254.170.23/v1/credentials",
        )
    file = Path(context.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "EKS Pod Identity's token"))
    request = HttpRequest(
        "EKS Pod Identity",
        "GET",
        url,
        {"Authorization": read_token_file(file)},
        timeout_seconds=METADATA_TIMEOUT_SECONDS,
    )
    return _metadata_session(request, await context.send(request), context)


async def _instance_credentials(context: FetchContext) -> AwsCredentials:
    base = context.endpoints.url("aws-metadata", _METADATA) + "/latest"
    begin = HttpRequest(
        "the instance's metadata (IMDSv2)",
        "PUT",
        f"{base}/api/token",
        {"X-aws-ec2-metadata-token-ttl-seconds": _METADATA_SESSION_SECONDS},
        timeout_seconds=METADATA_TIMEOUT_SECONDS,
    )
    try:
        opened = await context.send(begin)
    except TokenError as error:
        raise TokenError(
            error.reason,
            f"{error.message}. A Pod can reach the metadata service only if the instance's hop limit is at least 2",
        ) from None
    require_success(begin, opened)
    token = {"X-aws-ec2-metadata-token": opened.body.decode("ascii", "replace").strip()}

    def get(path: str) -> HttpRequest:
        return HttpRequest(begin.name, "GET", base + path, token, timeout_seconds=METADATA_TIMEOUT_SECONDS)

    path = "/meta-data/iam/security-credentials/"
    missing = "the instance has no role: attach an instance profile"
    role = await read_role(context, get(path), is_name=_role_name, missing=missing)
    request = get(path + quote(role, safe=""))
    return _metadata_session(request, await context.send(request), context)


def _metadata_session(request: HttpRequest, answer: HttpAnswer, context: FetchContext) -> AwsCredentials:
    found = decode(request, answer, _MetadataCredentials)
    session_left(found.expiration, answer, context.now(), request.name)
    return AwsCredentials(found.access_key_id, found.secret_access_key, found.token)
