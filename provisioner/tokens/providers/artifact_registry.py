"""Google Artifact Registry and gcr.io: an access token, from the metadata server or by workload identity federation."""

import msgspec

from provisioner.tokens.planning.credential import FetchedCredential, left_until
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import METADATA_TIMEOUT_SECONDS, HttpRequest, decode, require_success
from provisioner.tokens.planning.sources import ArtifactRegistrySource, ProcessIdentity
from provisioner.tokens.providers.context import FetchContext

USERNAME = "oauth2accesstoken"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_METADATA = "http://metadata.google.internal"
_FLAVOR = {"Metadata-Flavor": "Google"}
_LIFE = "3600s"
_GKE = "identitynamespace:"


class _AccessToken(msgspec.Struct):
    access_token: str
    expires_in: float


class _Impersonated(msgspec.Struct, rename="camel"):
    access_token: str
    expire_time: str


async def fetch_artifact_registry(context: FetchContext, source: ArtifactRegistrySource) -> FetchedCredential:
    if source.identity.process is ProcessIdentity.METADATA_SERVER:
        found = await _from_metadata(context)
    else:
        found = await _federated(context, source)
    if source.service_account_email:
        return await _impersonated(context, source.service_account_email, found.access_token)
    return FetchedCredential.single(USERNAME, found.access_token, found.expires_in)


async def _from_metadata(context: FetchContext) -> _AccessToken:
    """The server answers from a cache until shortly before the end: the same token again is no failure."""
    request = HttpRequest(
        "Google's metadata server",
        "GET",
        context.endpoints.url("google-metadata", _METADATA)
        + "/computeMetadata/v1/instance/service-accounts/default/token",
        _FLAVOR,
        timeout_seconds=METADATA_TIMEOUT_SECONDS,
    )
    answer = await context.send(request)
    if answer.status == 404:  # noqa: PLR2004 - HTTP's own
        raise TokenError(Reason.IDENTITY_MISSING, f"{request.name}: the node or the ServiceAccount has no identity")
    require_success(request, answer)
    if answer.headers.get("metadata-flavor") != "Google":
        raise TokenError(
            Reason.BAD_ANSWER,
            f"{request.name}: the answer is not from Google's metadata server (no header Metadata-Flavor)",
        )
    return decode(request, answer, _AccessToken)


async def _federated(context: FetchContext, source: ArtifactRegistrySource) -> _AccessToken:
    audience = subject_audience(source.audience)
    token = await context.web_identity_token(source.identity, audience, "google", "GOOGLE_SUBJECT_TOKEN_FILE")
    body = {
        "audience": source.audience,
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": _SCOPE,
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }
    url = context.endpoints.url("google-sts", "https://sts.googleapis.com") + "/v1/token"
    request = HttpRequest("Google's token exchange", "POST", url, _JSON, msgspec.json.encode(body))
    return decode(request, await context.send(request), _AccessToken)


async def _impersonated(context: FetchContext, email: str, token: str) -> FetchedCredential:
    base = context.endpoints.url("google-iam", "https://iamcredentials.googleapis.com")
    request = HttpRequest(
        f"generateAccessToken of {email}",
        "POST",
        f"{base}/v1/projects/-/serviceAccounts/{email}:generateAccessToken",
        {**_JSON, "Authorization": f"Bearer {token}"},
        msgspec.json.encode({"scope": [_SCOPE], "lifetime": _LIFE}),
    )
    answer = await context.send(request)
    found = decode(request, answer, _Impersonated)
    left = left_until(found.expire_time, answer, context.now(), request.name)
    return FetchedCredential.single(USERNAME, found.access_token, left)


def subject_audience(audience: str) -> str:
    """Whom a ServiceAccount's token is made out to, for it to be exchanged under `audience`."""
    if audience.startswith(_GKE):
        return audience.removeprefix(_GKE).partition(":")[0]
    return f"https:{audience}"


_JSON = {"Content-Type": "application/json"}
