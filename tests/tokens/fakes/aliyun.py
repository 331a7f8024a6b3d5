"""Alibaba Cloud's STS, node metadata and registry service (both editions), on one port."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from aiohttp import web

from tests.tokens.fakes.aws import Session
from tests.tokens.fakes.cloud import FakeCloud, Handler, rfc3339
from tests.tokens.fakes.jwt import Refused

ROLE = "acs:ram::1234567890123456:role/puller"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack-rrsa-c1"
INSTANCE = "cri-1a2b3c4d"
_authorization = re.compile(
    r"ACS3-HMAC-SHA256 Credential=([\w-]+),SignedHeaders=([\w;-]+),Signature=([0-9a-f]{64})"
).fullmatch
_SKEW_SECONDS = 900.0


@dataclass
class FakeAliyun(FakeCloud):
    keys: dict[str, Session] = field(default_factory=lambda: {"LTAISTATIC": Session("canary-static-secret")})
    session_seconds: float = 3600.0
    nonces: set[str] = field(default_factory=set)
    metadata_tokens: set[str] = field(default_factory=set)
    granted: bool = True

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("POST", "/"): self._rpc,
            ("GET", "/tokens"): self._personal,
            ("PUT", "/latest/api/token"): self._metadata_token,
            ("GET", "/latest/meta-data/ram/security-credentials/"): self._metadata_roles,
            ("GET", "/latest/meta-data/ram/security-credentials/node"): self._metadata_session,
        }

    def refusal(self, request: web.Request, refused: Refused) -> web.Response:
        del request
        return web.json_response({"Code": refused.code, "RequestId": "1"}, status=refused.status)

    async def _rpc(self, request: web.Request) -> web.Response:
        if request.query.get("Action") == "AssumeRoleWithOIDC":
            return await self._assume(request)
        action = request.headers.get("x-acs-action")
        await self._verify(request, "2018-12-01")
        if action == "ListInstance":
            found = [{"InstanceId": INSTANCE, "InstanceName": "acme", "InstanceStatus": "RUNNING"}]
            others = [{"InstanceId": "cri-other", "InstanceName": "acme-other"}]
            return web.json_response({"IsSuccess": True, "Code": "success", "Instances": others + found})
        if action != "GetAuthorizationToken" or request.query.get("InstanceId") != INSTANCE:
            raise Refused(404, "INSTANCE_NOT_EXIST")
        if not self.granted:
            return web.json_response({"IsSuccess": False, "Code": "NO_PRIVILEGE"})
        token, end = self._issue_with_colon()
        body = {"IsSuccess": True, "Code": "success", "TempUsername": "cr_temp_user", "AuthorizationToken": token}
        return web.json_response({**body, "ExpireTime": int(end * 1000)})

    async def _personal(self, request: web.Request) -> web.Response:
        await self._verify(request, "2016-06-07")
        if request.headers.get("x-acs-action") != "GetAuthorizationToken":
            raise Refused(400, "InvalidAction")
        token, end = self._issue_with_colon()
        data = {"authorizationToken": token, "tempUserName": "cr_temp_user", "expireDate": int(end * 1000)}
        return web.json_response({"data": data, "requestId": "1"})

    def _issue_with_colon(self) -> tuple[str, float]:
        token, end = self.issue("aliyun")
        with_colon = f"{token}:1"
        self.issued[with_colon] = self.issued.pop(token)
        return with_colon, end

    async def _verify(self, request: web.Request, version: str) -> None:
        found = _authorization(request.headers.get("Authorization", ""))
        if not found:
            raise Refused(400, "MissingAuthorization")
        key, signed_headers, signature = found.groups()
        session = self.keys.get(key)
        if session is None:
            raise Refused(404, "InvalidAccessKeyId.NotFound")
        if session.end < self.now() or request.headers.get("x-acs-security-token", "") != session.token:
            raise Refused(400, "InvalidSecurityToken.Expired")
        stamp = datetime.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(stamp.timestamp() - self.now()) > _SKEW_SECONDS:
            raise Refused(400, "IllegalTimestamp")
        nonce = request.headers["x-acs-signature-nonce"]
        if nonce in self.nonces or request.headers["x-acs-version"] != version:
            raise Refused(400, "SignatureNonceUsed")
        self.nonces.add(nonce)
        body = hashlib.sha256(await request.read()).hexdigest()
        names = signed_headers.split(";")
        required = {"host", *(name.lower() for name in request.headers if name.lower().startswith("x-acs-"))}
        if names != sorted(names) or set(names) != required or request.headers["x-acs-content-sha256"] != body:
            raise Refused(400, "SignatureDoesNotMatch")
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(request.query.items())
        )
        lines = "".join(f"{name}:{request.headers[name]}\n" for name in names)
        canonical = f"{request.method}\n{request.path}\n{query}\n{lines}\n{signed_headers}\n{body}"
        text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        if hmac.new(session.secret.encode(), text.encode(), hashlib.sha256).hexdigest() != signature:
            raise Refused(400, "SignatureDoesNotMatch")

    async def _assume(self, request: web.Request) -> web.Response:
        form = await request.post()
        if request.query.get("Version") != "2015-04-01" or request.query.get("Format") != "JSON":
            raise Refused(400, "InvalidVersion")
        if form.get("RoleArn") != ROLE or form.get("OIDCProviderArn") != PROVIDER:
            raise Refused(403, "NoPermission")
        self.trusted(str(form.get("OIDCToken")), "sts.aliyuncs.com", "AuthenticationFail.OIDCToken.Invalid")
        return web.json_response({"Credentials": self._session(), "RequestId": "1"})

    def _session(self) -> dict[str, str]:
        key = f"STS.{secrets.token_hex(8)}".replace(".", "-")
        made = Session(f"canary-secret-{secrets.token_hex(8)}", f"canary-sts-{secrets.token_hex(8)}",
                       self.now() + self.session_seconds)  # fmt: skip
        self.keys[key] = made
        return {
            "AccessKeyId": key,
            "AccessKeySecret": made.secret,
            "SecurityToken": made.token,
            "Expiration": rfc3339(made.end),
        }

    async def _metadata_token(self, request: web.Request) -> web.Response:
        if "X-aliyun-ecs-metadata-token-ttl-seconds" not in request.headers:
            raise Refused(400, "BadRequest")
        token = f"canary-ecs-{secrets.token_hex(8)}"
        self.metadata_tokens.add(token)
        return web.Response(text=token)

    async def _metadata_roles(self, request: web.Request) -> web.Response:
        self._check_metadata(request)
        return web.Response(text="node")

    async def _metadata_session(self, request: web.Request) -> web.Response:
        self._check_metadata(request)
        return web.json_response({**self._session(), "Code": "Success"})

    def _check_metadata(self, request: web.Request) -> None:
        if request.headers.get("X-aliyun-ecs-metadata-token") not in self.metadata_tokens:
            raise Refused(403, "Forbidden")
