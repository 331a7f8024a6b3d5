"""Azure Container Registry: a token of Entra ID, exchanged at each registry for a refresh token."""

from urllib.parse import urlencode

import msgspec

from provisioner.tokens.planning.credential import FetchedCredential, Login, jwt_expiry, left_until_epoch
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import METADATA_TIMEOUT_SECONDS, HttpRequest, decode
from provisioner.tokens.planning.registry_hosts import AUTHORITIES, SCOPES, azure_cloud
from provisioner.tokens.planning.sources import AcrSource, ProcessIdentity
from provisioner.tokens.providers.context import FetchContext, text_of

USERNAME = "00000000-0000-0000-0000-000000000000"
AUDIENCE = "api://AzureADTokenExchange"
ASSUMED_SECONDS = 1800.0
"""Of a refresh token whose end can't be read: the shortest that has been seen was 35 minutes."""

_METADATA = "http://169.254.169.254"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class _AadToken(msgspec.Struct):
    access_token: str


class _RefreshToken(msgspec.Struct):
    refresh_token: str


async def fetch_acr(context: FetchContext, source: AcrSource) -> FetchedCredential:
    tenant = source.tenant_id or context.environment.get("AZURE_TENANT_ID", "")
    access = await _access_token(context, source, tenant)
    logins, lefts, exact = {}, [], True
    for host in source.hosts:
        login, left, is_exact = await _exchanged(context, host, tenant, access)
        logins[host] = login
        lefts.append(left)
        exact &= is_exact
    return FetchedCredential(logins, min(lefts), exact)


async def _access_token(context: FetchContext, source: AcrSource, tenant: str) -> str:
    cloud = next(filter(None, map(azure_cloud, source.hosts)), "io")
    if source.identity.process is ProcessIdentity.METADATA_SERVER:
        return await _from_metadata(context, source, SCOPES[cloud])
    if not tenant:
        context.variable("AZURE_TENANT_ID", "the tenant (tenantID)")
    form = {
        "client_id": source.client_id or context.variable("AZURE_CLIENT_ID", "the application (clientID)"),
        "scope": f"{SCOPES[cloud]}/.default",
        "grant_type": "client_credentials",
    }
    if source.identity.secret_name:
        secret = await context.secret(source.identity.secret_name)
        form["client_secret"] = text_of(secret, source.identity.secret_name, "clientSecret")
    else:
        form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        form["client_assertion"] = await context.web_identity_token(
            source.identity, AUDIENCE, "azure", "AZURE_FEDERATED_TOKEN_FILE"
        )
    authority = context.endpoints.url("azure-login", AUTHORITIES[cloud])
    request = HttpRequest(
        "the token of Entra ID", "POST", f"{authority}/{tenant}/oauth2/v2.0/token", _FORM, urlencode(form).encode()
    )
    return decode(request, await context.send(request), _AadToken).access_token


async def _from_metadata(context: FetchContext, source: AcrSource, resource: str) -> str:
    query = {"api-version": "2018-02-01", "resource": resource}
    if source.client_id:
        query["client_id"] = source.client_id
    base = context.endpoints.url("azure-metadata", _METADATA)
    request = HttpRequest(
        "the managed identity's token",
        "GET",
        f"{base}/metadata/identity/oauth2/token?{urlencode(query)}",
        {"Metadata": "true"},
        timeout_seconds=METADATA_TIMEOUT_SECONDS,
    )
    return decode(request, await context.send(request), _AadToken).access_token


async def _exchanged(context: FetchContext, host: str, tenant: str, access: str) -> tuple[Login, float, bool]:
    form = {"grant_type": "access_token", "service": host, "access_token": access}
    if tenant:
        form["tenant"] = tenant
    url = context.endpoints.url("acr", f"https://{host}")
    request = HttpRequest(
        f"the token exchange of {host}", "POST", f"{url}/oauth2/exchange", _FORM, urlencode(form).encode()
    )
    answer = await context.send(request)
    token = decode(request, answer, _RefreshToken).refresh_token
    if not token:
        raise TokenError(Reason.BAD_ANSWER, f"{request.name}: the answer holds no token")
    end = jwt_expiry(token)
    if end is None:
        return Login(USERNAME, token), ASSUMED_SECONDS, False
    return Login(USERNAME, token), left_until_epoch(end, answer, context.now(), request.name), True
