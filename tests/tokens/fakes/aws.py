"""STS, ECR, ECR Public, the instance's metadata (IMDSv2) and EKS Pod Identity, on one port."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from aiohttp import web

from tests.tokens.fakes.cloud import FakeCloud, Handler, rfc3339
from tests.tokens.fakes.jwt import Refused

ROLE = "arn:aws:iam::123456789012:role/puller"
_authorization = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([\w-]+)/(\d{8})/([\w-]+)/([\w-]+)/aws4_request, SignedHeaders=([\w;-]+), "
    r"Signature=([0-9a-f]{64})"
).fullmatch
_SKEW_SECONDS = 300.0


@dataclass
class Session:
    secret: str
    token: str = ""
    end: float = float("inf")
    role: str = ""


@dataclass
class FakeAws(FakeCloud):
    keys: dict[str, Session] = field(default_factory=lambda: {"AKIASTATIC": Session("canary-static-secret")})
    session_seconds: float = 3600.0
    metadata_tokens: set[str] = field(default_factory=set)
    pod_token: str = "canary-pod-identity-token"
    has_role: bool = True

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("POST", "/"): self._api,
            ("PUT", "/latest/api/token"): self._metadata_token,
            ("GET", "/latest/meta-data/iam/security-credentials/"): self._metadata_roles,
            ("GET", "/latest/meta-data/iam/security-credentials/node"): self._metadata_session,
            ("GET", "/v1/credentials"): self._pod_identity,
        }

    def refusal(self, request: web.Request, refused: Refused) -> web.Response:
        if request.headers.get("X-Amz-Target"):
            return web.json_response({"__type": f"com.amazon#{refused.code}", "message": "no"}, status=refused.status)
        error = f"<ErrorResponse><Error><Type>Sender</Type><Code>{refused.code}</Code></Error></ErrorResponse>"
        return web.Response(text=error, status=refused.status, content_type="text/xml")

    async def _api(self, request: web.Request) -> web.Response:
        match request.headers.get("X-Amz-Target"):
            case "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken":
                await self._verify(request, "ecr")
                return self._json({"authorizationData": [self._authorization()]})
            case "SpencerFrontendService.GetAuthorizationToken":
                await self._verify(request, "ecr-public", "us-east-1")
                return self._json({"authorizationData": self._authorization()})
            case None:
                return await self._sts(request)
            case _:
                raise Refused(400, "UnknownOperationException")

    def _authorization(self) -> dict[str, object]:
        password, end = self.issue("ecr")
        token = base64.b64encode(f"AWS:{password}".encode()).decode()
        return {
            "authorizationToken": token,
            "expiresAt": end,
            "proxyEndpoint": "https://1.dkr.ecr.eu-west-1.amazonaws.com",
        }

    async def _sts(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("Version") != "2011-06-15" or form.get("RoleArn") != ROLE:
            raise Refused(403, "AccessDenied")
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", str(form.get("RoleSessionName"))):
            raise Refused(400, "ValidationError")
        match form.get("Action"):
            case "AssumeRoleWithWebIdentity":
                if "Authorization" in request.headers:
                    raise Refused(400, "IncompleteSignature")
                self.trusted(str(form["WebIdentityToken"]), "sts.amazonaws.com", "InvalidIdentityToken")
            case "AssumeRole":
                await self._verify(request, "sts")
            case _:
                raise Refused(400, "InvalidAction")
        key, session = self.session(ROLE)
        credentials = "".join(
            f"<{name}>{value}</{name}>"
            for name, value in (
                ("AccessKeyId", key),
                ("SecretAccessKey", session.secret),
                ("SessionToken", session.token),
                ("Expiration", rfc3339(session.end)),
            )
        )
        action = str(form["Action"])
        text = (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<Credentials>{credentials}</Credentials></{action}Result></{action}Response>"
        )
        return web.Response(text=text, content_type="text/xml")

    def session(self, role: str) -> tuple[str, Session]:
        key = f"ASIA{secrets.token_hex(8).upper()}"
        made = Session(
            f"canary-secret-{secrets.token_hex(8)}",
            f"canary-session/+={secrets.token_hex(8)}",
            self.now() + self.session_seconds,
            role,
        )
        self.keys[key] = made
        return key, made

    async def _verify(self, request: web.Request, service: str, region: str = "eu-west-1") -> None:
        """The signature, worked out once more from what came over the wire."""
        found = _authorization(request.headers.get("Authorization", ""))
        if not found:
            raise Refused(403, "MissingAuthenticationTokenException")
        key, date, in_region, for_service, signed_headers, signature = found.groups()
        if (in_region, for_service) != (region, service):
            raise Refused(400, "SignatureDoesNotMatch")
        session = self.keys.get(key)
        if session is None:
            raise Refused(403, "UnrecognizedClientException")
        if session.end < self.now():
            raise Refused(403, "ExpiredTokenException")
        if request.headers.get("X-Amz-Security-Token", "") != session.token:
            raise Refused(403, "InvalidClientTokenId")
        stamp = request.headers["X-Amz-Date"]
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if abs(signed_at - self.now()) > _SKEW_SECONDS or stamp[:8] != date:
            raise Refused(403, "SignatureDoesNotMatch")
        names = signed_headers.split(";")
        required = {"host", "x-amz-date"} | ({"x-amz-security-token"} if session.token else set())
        if names != sorted(names) or not required <= set(names):
            raise Refused(403, "SignatureDoesNotMatch")
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(request.query.items())
        )
        canonical = f"{request.method}\n{request.rel_url.raw_path}\n{query}\n"
        canonical += "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
        canonical += f"\n{signed_headers}\n{hashlib.sha256(await request.read()).hexdigest()}"
        scope = f"{date}/{region}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        derived = b"AWS4" + session.secret.encode()
        for part in (*scope.split("/"), text):
            derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(derived.hex(), signature):
            raise Refused(403, "SignatureDoesNotMatch")

    async def _metadata_token(self, request: web.Request) -> web.Response:
        if not 0 < int(request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "0")) <= 21600:
            raise Refused(400, "BadRequest")
        token = f"canary-imds-{secrets.token_hex(8)}"
        self.metadata_tokens.add(token)
        return web.Response(text=token)

    def _metadata(self, request: web.Request) -> None:
        if request.headers.get("X-aws-ec2-metadata-token") not in self.metadata_tokens:
            raise Refused(401, "Unauthorized")

    async def _metadata_roles(self, request: web.Request) -> web.Response:
        self._metadata(request)
        return web.Response(text="node\n") if self.has_role else web.Response(status=404)

    async def _metadata_session(self, request: web.Request) -> web.Response:
        self._metadata(request)
        return self._credentials()

    async def _pod_identity(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self.pod_token:
            raise Refused(401, "AccessDeniedException")
        return self._credentials()

    def _credentials(self) -> web.Response:
        key, session = self.session("node")
        return web.json_response(
            {
                "AccessKeyId": key,
                "SecretAccessKey": session.secret,
                "Token": session.token,
                "Expiration": rfc3339(session.end),
            }
        )

    def _json(self, value: object) -> web.Response:
        return web.json_response(value, content_type="application/x-amz-json-1.1")
