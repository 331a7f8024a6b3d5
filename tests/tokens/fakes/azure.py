"""Entra ID, the managed identity's endpoint, and the exchange of registries, on one port."""

import json
from dataclasses import dataclass, field

from aiohttp import web

from tests.tokens.fakes.cloud import FakeCloud, Handler
from tests.tokens.fakes.jwt import Refused, signed

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
CLIENT_SECRET = "canary-client-secret"
_SCOPE = "https://containerregistry.azure.net"


@dataclass
class FakeAzure(FakeCloud):
    registries: set[str] = field(default_factory=lambda: {"acme.azurecr.io"})
    opaque: bool = False
    """Refresh tokens that are no JWT."""

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("POST", f"/{TENANT}/oauth2/v2.0/token"): self._token,
            ("GET", "/metadata/identity/oauth2/token"): self._managed,
            ("POST", "/oauth2/exchange"): self._exchange,
        }

    def refusal(self, request: web.Request, refused: Refused) -> web.Response:
        if request.path == "/oauth2/exchange":
            body: object = {"errors": [{"code": refused.code, "message": "no"}]}
        else:
            body = {"error": refused.code, "error_description": "AADSTS70021: no"}
        return web.json_response(body, status=refused.status)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("client_id") != CLIENT or form.get("grant_type") != "client_credentials":
            raise Refused(400, "unauthorized_client")
        if form.get("scope") != f"{_SCOPE}/.default":
            raise Refused(400, "invalid_scope")
        if "client_secret" in form:
            if form["client_secret"] != CLIENT_SECRET:
                raise Refused(401, "invalid_client")
        else:
            if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
                raise Refused(400, "invalid_client")
            self.trusted(str(form.get("client_assertion")), "api://AzureADTokenExchange", "invalid_client")
        token, _ = self.issue("entra")
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": token})

    async def _managed(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata") != "true" or request.query.get("api-version") != "2018-02-01":
            raise Refused(400, "invalid_request")
        if request.query.get("resource") != _SCOPE or request.query.get("client_id", CLIENT) != CLIENT:
            raise Refused(400, "invalid_resource")
        token, _ = self.issue("managed")
        return web.json_response({"access_token": token, "expires_in": "3599"})

    async def _exchange(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "access_token" or form.get("service") not in self.registries:
            raise Refused(400, "UNSUPPORTED")
        if not self.is_good(str(form.get("access_token"))):
            raise Refused(401, "UNAUTHORIZED")
        token, end = self.issue("acr")
        if not self.opaque:
            del self.issued[token]
            token = signed({"jti": token, "exp": end, "aud": form["service"]})
            self.issued[token] = end
        # A member that is no string: a reader of string maps would break on it.
        return web.Response(text=json.dumps({"refresh_token": token, "x": 1}), content_type="application/json")
