"""Google's metadata server, token exchange and impersonation, on one port."""

from dataclasses import dataclass, field

from aiohttp import web

from provisioner.tokens.providers.artifact_registry import subject_audience
from tests.tokens.fakes.cloud import FakeCloud, Handler, rfc3339
from tests.tokens.fakes.jwt import Refused

AUDIENCE = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/x"
EMAIL = "puller@project.iam.gserviceaccount.com"


@dataclass
class FakeGoogle(FakeCloud):
    cached: tuple[str, float] | None = None
    """The metadata server gives the same token until shortly before its end."""
    flavor: dict[str, str] = field(default_factory=lambda: {"Metadata-Flavor": "Google"})

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("GET", "/computeMetadata/v1/instance/service-accounts/default/token"): self._metadata,
            ("POST", "/v1/token"): self._exchange,
            ("POST", f"/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"): self._impersonate,
        }

    def refusal(self, request: web.Request, refused: Refused) -> web.Response:
        del request
        return web.json_response({"error": refused.code, "error_description": "no"}, status=refused.status)

    async def _metadata(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata-Flavor") != "Google" or "X-Forwarded-For" in request.headers:
            raise Refused(403, "Forbidden")
        if self.cached is None or self.cached[1] - self.now() < 225:
            self.cached = self.issue("google")
        token, end = self.cached
        body = {"access_token": token, "expires_in": int(end - self.now()), "token_type": "Bearer"}
        return web.json_response(body, headers=self.flavor)

    async def _exchange(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            raise Refused(400, "invalid_client")
        given = await request.json()
        expected = {
            "audience": AUDIENCE,
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "scope": "https://www.googleapis.com/auth/cloud-platform",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        }
        subject = given.pop("subject_token")
        if given != expected:
            raise Refused(400, "invalid_target")
        claims = self.trusted(subject, subject_audience(AUDIENCE), "invalid_grant")
        token, end = self.issue("federated")
        # It ends with its subject token.
        self.issued[token] = end = min(end, claims["exp"])
        return web.json_response({"access_token": token, "expires_in": int(end - self.now()), "token_type": "Bearer"})

    async def _impersonate(self, request: web.Request) -> web.Response:
        if not self.is_good(request.headers.get("Authorization", "").removeprefix("Bearer ")):
            return web.json_response({"error": {"code": 401, "status": "UNAUTHENTICATED"}}, status=401)
        token, end = self.issue("impersonated")
        return web.json_response({"accessToken": token, "expireTime": rfc3339(end)})
