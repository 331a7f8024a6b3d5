"""Logs in to a registry as a container runtime does: GET /v2/, then Basic or Bearer authentication, then a manifest.

Results contain neither credentials nor response bodies.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from sutler.cli.exit_codes import UsageError
from sutler.registry.image import DOCKER_HUB, ImageReference

_TIMEOUT_SECONDS = 20.0
_MAX_BODY_BYTES = 1 << 20
_HUB_API = "registry-1.docker.io"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_parameters = re.compile(r'([A-Za-z_]+)=(?:"([^"]*)"|([^",\s]+))').findall
_code = re.compile(r'"code"\s*:\s*"([A-Z_]{2,40})"').search


class LoginOutcome(NamedTuple):
    works: bool | None
    """None if the credential was not tried."""
    what: str
    """The result as text."""
    is_unreachable: bool = False
    """The registry is unreachable."""


class _Response(NamedTuple):
    status: int
    challenges: Sequence[str]
    code: str
    """The error code of the registry, such as DENIED."""

    @property
    def text(self) -> str:
        return f"{self.status} {self.code}".strip()


class LoginError(Exception):
    """The login could not be tried; the text says why."""


@dataclass(frozen=True)
class Credential:
    """User name and password, as bytes of any encoding."""

    username: bytes = field(repr=False)
    password: bytes = field(repr=False)

    @property
    def basic(self) -> str:
        return f"Basic {base64.b64encode(self.username + b':' + self.password).decode()}"


@dataclass(frozen=True)
class RegistryClient:
    """Connects to registries from this machine."""

    session: aiohttp.ClientSession
    plain_http: bool

    async def log_in(self, host: str, credential: Credential, image: ImageReference | None = None) -> LoginOutcome:
        """Logs in at `host`, and checks that `image` can be pulled."""
        try:
            base, is_open = await self._find_api(host)
            outcome = await self._authenticate(base, credential, is_open=is_open)
            return await self._check_image(base, credential, image) if image and outcome.works is not False else outcome
        except LoginError as error:
            return LoginOutcome(None, str(error), is_unreachable=True)
        except aiohttp.ClientConnectorCertificateError as error:
            why = _untrusted(error.certificate_error)
            return LoginOutcome(
                None,
                f"{host} has a certificate that is not trusted here ({why}); add its CA with --ca-file",
                is_unreachable=True,
            )
        except aiohttp.ClientConnectorError as error:
            why = error.strerror or str(error.os_error)
            return LoginOutcome(None, f"{host} is unreachable from here ({why})", is_unreachable=True)
        except TimeoutError:
            return LoginOutcome(None, f"{host} did not answer within {_TIMEOUT_SECONDS:g} s", is_unreachable=True)
        except (aiohttp.ClientError, ValueError):
            return LoginOutcome(None, f"{host} does not respond as a registry does", is_unreachable=True)

    async def _find_api(self, host: str) -> tuple[str, bool]:
        """The URL of the API, and whether it needs no credential.

        Uses plain HTTP only with --plain-http, or for a registry on this machine.
        """
        api = _HUB_API if host == DOCKER_HUB else host
        plain, secure = f"http://{api}", f"https://{api}"
        if self.plain_http:
            return plain, await self._needs_no_credential(plain, host)
        try:
            return secure, await self._needs_no_credential(secure, host)
        except aiohttp.ClientConnectorCertificateError:
            raise
        except aiohttp.ClientConnectorSSLError:
            if urlsplit(plain).hostname not in {name.strip("[]") for name in _LOOPBACK}:
                raise LoginError(f"{host} does not use TLS; if that is intended, add --plain-http") from None
            return plain, await self._needs_no_credential(plain, host)

    async def _needs_no_credential(self, base: str, host: str) -> bool:
        response = await self._send("GET", f"{base}/v2/")
        if response.status not in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}:
            raise LoginError(f"{host} is not a registry: it answers {response.text} at /v2/")
        return response.status == HTTPStatus.OK

    async def _authenticate(self, base: str, credential: Credential, *, is_open: bool) -> LoginOutcome:
        if is_open:
            return LoginOutcome(
                None, "the registry needs no credential at /v2/, so this one was not tried; name an image with --image"
            )
        response = await self._request("GET", base, "/v2/", credential, scope="")
        if response.status == HTTPStatus.OK:
            return LoginOutcome(True, "logged in")
        return LoginOutcome(False, f"user name or password rejected ({response.text})")

    async def _check_image(self, base: str, credential: Credential, image: ImageReference) -> LoginOutcome:
        path = f"/v2/{image.path}/manifests/{image.digest or image.tag or 'latest'}"
        if (await self._send("HEAD", base + path)).status == HTTPStatus.OK:
            return LoginOutcome(None, f"{image.path} can be pulled without a credential, so this one was not tried")
        response = await self._request("HEAD", base, path, credential, scope=f"repository:{image.path}:pull")
        if response.status == HTTPStatus.OK:
            return LoginOutcome(True, f"logged in, and {image.path} can be pulled")
        if response.status == HTTPStatus.NOT_FOUND:
            return LoginOutcome(
                False,
                f"logged in, but {path.removeprefix('/v2/')} does not exist or may not be pulled ({response.text})",
            )
        return LoginOutcome(False, f"logged in, but this user may not pull {image.path} ({response.text})")

    async def _request(self, method: str, base: str, path: str, credential: Credential, *, scope: str) -> _Response:
        """Sends a request without a credential, then as the registry's challenge requires."""
        response = await self._send(method, base + path)
        if response.status != HTTPStatus.UNAUTHORIZED:
            return response
        for challenge in response.challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "basic":
                return await self._send(method, base + path, credential.basic)
            if scheme.lower() == "bearer":
                parameters = {name.lower(): quoted or bare for name, quoted, bare in _parameters(rest)}
                token, refusal = await self._token(base, parameters, credential, scope)
                return refusal or await self._send(method, base + path, f"Bearer {token}")
        raise LoginError(
            "the registry offers neither Basic nor Bearer authentication, the only ones that runtimes support"
        )

    async def _token(
        self, base: str, parameters: dict[str, str], credential: Credential, scope: str
    ) -> tuple[str, _Response | None]:
        """The token, or the response of a token service that gives none."""
        realm = parameters.get("realm", "")
        if not realm.startswith("https://") and not (realm.startswith("http://") and base.startswith("http://")):
            raise LoginError("the registry's token service has no TLS, so the password was not sent")
        query = {"service": parameters.get("service", ""), "scope": scope or parameters.get("scope", "")}
        query = {name: value for name, value in query.items() if value}
        headers = {"Authorization": credential.basic}
        async with self.session.get(realm, params=query, headers=headers, allow_redirects=False) as response:
            if response.status != HTTPStatus.OK:
                return "", await _read(response)
            found = await response.json(content_type=None)
        token = (found.get("token") or found.get("access_token")) if isinstance(found, dict) else None
        if not isinstance(token, str) or not token.isprintable():
            raise LoginError("the registry's token service returns no token")
        return token, None

    async def _send(self, method: str, url: str, authorization: str = "") -> _Response:
        headers = {"Accept": _MANIFESTS}
        if authorization:
            headers["Authorization"] = authorization
        # A redirect could send the credential elsewhere; registries do not redirect here.
        async with self.session.request(method, url, headers=headers, allow_redirects=False) as response:
            return await _read(response)


@asynccontextmanager
async def registries(*, plain_http: bool, ca_file: str | None) -> AsyncIterator[RegistryClient]:
    """A client for registries; `ca_file` adds CAs to those of the system. Raises UsageError."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            await asyncio.to_thread(context.load_verify_locations, ca_file)
        except ssl.SSLError:
            raise UsageError(f"--ca-file {ca_file}: it has no certificates (PEM)") from None
        except OSError as error:
            raise UsageError(f"--ca-file {ca_file}: {error.strerror}") from None
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(ssl=context)
    # Without cookies, because checks of several users at one registry must not share a session.
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield RegistryClient(session, plain_http)


def _untrusted(error: Exception) -> str:
    """OpenSSL's message, without Python's."""
    return str(getattr(error, "verify_message", "") or "it cannot be verified").rstrip(".")


async def _read(response: aiohttp.ClientResponse) -> _Response:
    body = await response.content.read(_MAX_BODY_BYTES)
    code = _code(body.decode(errors="replace"))
    return _Response(response.status, response.headers.getall("WWW-Authenticate", []), code[1] if code else "")
