"""Alibaba Cloud's Container Registry, Personal and Enterprise Edition: GetAuthorizationToken, signed."""

import uuid
from urllib.parse import urlencode

import msgspec

from provisioner.tokens.planning.acs3 import AliyunCredentials, sign_acs3
from provisioner.tokens.planning.credential import FetchedCredential, left_until_epoch
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import HttpAnswer, HttpRequest, decode, error_code
from provisioner.tokens.planning.sources import AliyunSource
from provisioner.tokens.providers.aliyun_credentials import fetch_aliyun_credentials
from provisioner.tokens.providers.context import FetchContext

_PERSONAL, _ENTERPRISE = "2016-06-07", "2018-12-01"
_MILLISECONDS = 1000.0


class _Data(msgspec.Struct, rename="camel"):
    authorization_token: str
    temp_user_name: str
    expire_date: float


class _PersonalToken(msgspec.Struct):
    data: _Data


class _EnterpriseToken(msgspec.Struct, rename="pascal"):
    is_success: bool = True
    temp_username: str = ""
    authorization_token: str = ""
    expire_time: float = 0.0


class _Instance(msgspec.Struct, rename="pascal"):
    instance_id: str
    instance_name: str


class _Instances(msgspec.Struct, rename="pascal"):
    is_success: bool = True
    instances: list[_Instance] = []


async def fetch_aliyun(context: FetchContext, source: AliyunSource) -> FetchedCredential:
    """Its token is good for an hour, or until the end of the session."""
    credentials, session_left = await fetch_aliyun_credentials(context, source)
    if source.is_enterprise:
        instance = source.instance_id or await _find_instance(context, source, credentials)
        request, answer = await _call(context, source, credentials, "GetAuthorizationToken", {"InstanceId": instance})
        found = decode(request, answer, _EnterpriseToken)
        _require_granted(found.is_success and bool(found.authorization_token), request, answer)
        username, token, end = found.temp_username, found.authorization_token, found.expire_time
    else:
        request, answer = await _call(context, source, credentials, "GetAuthorizationToken")
        data = decode(request, answer, _PersonalToken).data
        username, token, end = data.temp_user_name, data.authorization_token, data.expire_date
    if not username or not token:
        raise TokenError(Reason.BAD_ANSWER, f"{request.name}: the answer holds no user name or no token")
    left = left_until_epoch(end / _MILLISECONDS, answer, context.now(), request.name)
    return FetchedCredential.single(username, token, min(left, session_left))


async def _find_instance(context: FetchContext, source: AliyunSource, credentials: AliyunCredentials) -> str:
    query = {"InstanceName": source.instance_name, "PageNo": "1", "PageSize": "100"}
    request, answer = await _call(context, source, credentials, "ListInstance", query)
    found = decode(request, answer, _Instances)
    _require_granted(found.is_success, request, answer)
    ids = [each.instance_id for each in found.instances if each.instance_name == source.instance_name]
    if len(ids) != 1:
        raise TokenError(
            Reason.IDENTITY_MISSING,
            f"{source.region} has {len(ids)} instances with the name {source.instance_name} that this identity "
            "can list: set the id in spec.aliyun.instanceID",
        )
    return ids[0]


async def _call(  # without `query`: Personal Edition's
    context: FetchContext,
    source: AliyunSource,
    credentials: AliyunCredentials,
    action: str,
    query: dict[str, str] | None = None,
) -> tuple[HttpRequest, HttpAnswer]:
    base = context.endpoints.url("aliyun-cr", f"https://cr.{source.region}.aliyuncs.com")
    name = f"{action} of Alibaba Cloud's registry {source.region}"
    version = _PERSONAL if query is None else _ENTERPRISE
    if query is None:
        request = HttpRequest(name, "GET", f"{base}/tokens")
    else:
        request = HttpRequest(name, "POST", f"{base}/?{urlencode(query)}")
    return await context.send_signed(
        lambda now: sign_acs3(request, credentials, action=action, version=version, nonce=uuid.uuid4().hex, now=now)
    )


def _require_granted(granted: bool, request: HttpRequest, answer: HttpAnswer) -> None:
    """A refusal comes with HTTP 200."""
    if not granted:
        code = error_code(request, answer)
        raise TokenError(
            Reason.ACCESS_DENIED,
            f"{request.name}: refused{f' ({code})' if code else ''}. Check the role's "
            "permission cr:GetAuthorizationToken",
        )
