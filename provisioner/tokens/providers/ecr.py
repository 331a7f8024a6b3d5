"""Amazon ECR and ECR Public: GetAuthorizationToken, signed."""

import msgspec

from provisioner.tokens.planning.credential import FetchedCredential, decode_login, left_until_epoch
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import HttpAnswer, HttpRequest, decode
from provisioner.tokens.planning.sigv4 import sign_v4
from provisioner.tokens.planning.sources import EcrPublicSource, EcrSource
from provisioner.tokens.providers.aws_credentials import fetch_aws_credentials
from provisioner.tokens.providers.context import FetchContext


class _Authorization(msgspec.Struct, rename="camel"):
    authorization_token: str
    expires_at: float


class _Private(msgspec.Struct, rename="camel"):
    authorization_data: list[_Authorization]


class _Public(msgspec.Struct, rename="camel"):
    authorization_data: _Authorization


async def fetch_ecr(context: FetchContext, source: EcrSource) -> FetchedCredential:
    """One token is good for every registry of the region that the identity may read."""
    host = f"api.ecr{'-fips' if source.fips else ''}.{source.region}.{source.suffix}"
    url = source.endpoint or context.endpoints.url("ecr", f"https://{host}")
    target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
    request = _request(f"GetAuthorizationToken of ECR {source.region}", url, target)
    request, answer = await _signed(context, source, request, "ecr")
    found = decode(request, answer, _Private).authorization_data
    if not found:
        raise TokenError(Reason.BAD_ANSWER, f"{request.name}: the answer holds no token")
    return _credential(found[0], request, answer, context)


async def fetch_ecr_public(context: FetchContext, source: EcrPublicSource) -> FetchedCredential:
    url = context.endpoints.url("ecr-public", "https://api.ecr-public.us-east-1.amazonaws.com")
    request = _request("GetAuthorizationToken of ECR Public", url, "SpencerFrontendService.GetAuthorizationToken")
    request, answer = await _signed(context, source, request, "ecr-public")
    return _credential(decode(request, answer, _Public).authorization_data, request, answer, context)


def _request(name: str, url: str, target: str) -> HttpRequest:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
    return HttpRequest(name, "POST", f"{url}/", headers, b"{}")


async def _signed(
    context: FetchContext, source: EcrSource | EcrPublicSource, request: HttpRequest, service: str
) -> tuple[HttpRequest, HttpAnswer]:
    credentials = await fetch_aws_credentials(context, source)
    return await context.send_signed(
        lambda now: sign_v4(request, credentials, region=source.region, service=service, now=now)
    )


def _credential(
    found: _Authorization, request: HttpRequest, answer: HttpAnswer, context: FetchContext
) -> FetchedCredential:
    login = decode_login(found.authorization_token, request.name)
    left = left_until_epoch(found.expires_at, answer, context.now(), request.name)
    return FetchedCredential.single(login.username, login.password, left)
