"""Logs in to a registry as a container runtime does: /v2/, then Basic or the Bearer token flow, then perhaps a pull.

Neither a credential nor the body of an answer ever comes out of here.
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

from sutler.cli.output import UsageError
from sutler.registry.image import DOCKER_HUB, ImageReference

_SECONDS = 20.0
_LONGEST_BODY = 1 << 20
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
    """None: the credential was not tried."""
    what: str
    unreached: bool = False


class _Answer(NamedTuple):
    status: int
    challenges: Sequence[str]
    code: str
    """The registry's own word for an error, such as DENIED."""

    @property
    def text(self) -> str:
        return f"{self.status} {self.code}".strip()


class LoginError(Exception):
    """The way to an answer was barred; the text says how."""


@dataclass(frozen=True)
class Credential:
    username: bytes = field(repr=False)
    password: bytes = field(repr=False)

    @property
    def basic(self) -> str:
        return f"Basic {base64.b64encode(self.username + b':' + self.password).decode()}"


@dataclass(frozen=True)
class RegistryClient:
    """How registries are reached from here."""

    session: aiohttp.ClientSession
    plain_http: bool

    async def try_out(self, host: str, credential: Credential, image: ImageReference | None = None) -> LoginOutcome:
        """Log in at `host`, and look whether `image` could be pulled."""
        try:
            base, open_to_all = await self._find(host)
            outcome = await self._log_in(base, credential, open_to_all=open_to_all)
            return await self._look(base, credential, image) if image and outcome.works is not False else outcome
        except LoginError as error:
            return LoginOutcome(None, str(error), unreached=True)
        except aiohttp.ClientConnectorCertificateError as error:
            why = _untrusted(error.certificate_error)
            return LoginOutcome(
                None, f"{host} shows a certificate that is not trusted here ({why}): --ca-file", unreached=True
            )
        except aiohttp.ClientConnectorError as error:
            why = error.strerror or str(error.os_error)
            return LoginOutcome(None, f"{host} can't be reached from here ({why})", unreached=True)
        except TimeoutError:
            return LoginOutcome(None, f"{host} did not answer within {_SECONDS:g} s", unreached=True)
        except (aiohttp.ClientError, ValueError):
            return LoginOutcome(None, f"{host} does not speak HTTP as a registry does", unreached=True)

    async def _find(self, host: str) -> tuple[str, bool]:
        """Where the API is, and whether it lets everybody in. Plain HTTP only where asked for, or on this machine."""
        api = _HUB_API if host == DOCKER_HUB else host
        plain, secure = f"http://{api}", f"https://{api}"
        if self.plain_http:
            return plain, await self._is_open(plain, host)
        try:
            return secure, await self._is_open(secure, host)
        except aiohttp.ClientConnectorCertificateError:
            raise
        except aiohttp.ClientConnectorSSLError:
            if urlsplit(plain).hostname not in {name.strip("[]") for name in _LOOPBACK}:
                raise LoginError(f"{host} does not speak TLS; if that is meant so: --plain-http") from None
            return plain, await self._is_open(plain, host)

    async def _is_open(self, base: str, host: str) -> bool:
        answer = await self._send("GET", f"{base}/v2/")
        if answer.status not in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}:
            raise LoginError(f"{host} is no registry: it answers {answer.text} at /v2/")
        return answer.status == HTTPStatus.OK

    async def _log_in(self, base: str, credential: Credential, *, open_to_all: bool) -> LoginOutcome:
        if open_to_all:
            return LoginOutcome(
                None, "the registry lets all in at /v2/, so the credential was not tried: name an image with --image"
            )
        answer = await self._ask("GET", base, "/v2/", credential, scope="")
        if answer.status == HTTPStatus.OK:
            return LoginOutcome(True, "logged in")
        return LoginOutcome(False, f"user name or password refused ({answer.text})")

    async def _look(self, base: str, credential: Credential, image: ImageReference) -> LoginOutcome:
        path = f"/v2/{image.path}/manifests/{image.digest or image.tag or 'latest'}"
        if (await self._send("HEAD", base + path)).status == HTTPStatus.OK:
            return LoginOutcome(None, f"{image.path} can be pulled without a credential, so this one was not tried")
        answer = await self._ask("HEAD", base, path, credential, scope=f"repository:{image.path}:pull")
        if answer.status == HTTPStatus.OK:
            return LoginOutcome(True, f"logged in, and {image.path} can be pulled")
        if answer.status == HTTPStatus.NOT_FOUND:
            return LoginOutcome(
                False, f"logged in, but {path.removeprefix('/v2/')} is not there, or not for this user ({answer.text})"
            )
        return LoginOutcome(False, f"logged in, but this user may not pull {image.path} ({answer.text})")

    async def _ask(self, method: str, base: str, path: str, credential: Credential, *, scope: str) -> _Answer:
        """First without a credential: the registry says what it wants."""
        answer = await self._send(method, base + path)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        for challenge in answer.challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "basic":
                return await self._send(method, base + path, credential.basic)
            if scheme.lower() == "bearer":
                parameters = {name.lower(): quoted or bare for name, quoted, bare in _parameters(rest)}
                token, refusal = await self._token(base, parameters, credential, scope)
                return refusal or await self._send(method, base + path, f"Bearer {token}")
        raise LoginError(
            "the registry asks for neither Basic nor Bearer authentication, which is all that runtimes know"
        )

    async def _token(
        self, base: str, parameters: dict[str, str], credential: Credential, scope: str
    ) -> tuple[str, _Answer | None]:
        """The token, or the answer that there is none."""
        realm = parameters.get("realm", "")
        if not realm.startswith("https://") and not (realm.startswith("http://") and base.startswith("http://")):
            raise LoginError("the registry sends the password to a place without TLS, so it was not sent")
        query = {"service": parameters.get("service", ""), "scope": scope or parameters.get("scope", "")}
        query = {name: value for name, value in query.items() if value}
        headers = {"Authorization": credential.basic}
        async with self.session.get(realm, params=query, headers=headers, allow_redirects=False) as response:
            if response.status != HTTPStatus.OK:
                return "", await _read(response)
            found = await response.json(content_type=None)
        token = (found.get("token") or found.get("access_token")) if isinstance(found, dict) else None
        if not isinstance(token, str) or not token.isprintable():
            raise LoginError("the registry's token service gives no token")
        return token, None

    async def _send(self, method: str, url: str, authorization: str = "") -> _Answer:
        headers = {"Accept": _MANIFESTS}
        if authorization:
            headers["Authorization"] = authorization
        # A redirect could carry the credential elsewhere; registries don't redirect here.
        async with self.session.request(method, url, headers=headers, allow_redirects=False) as response:
            return await _read(response)


@asynccontextmanager
async def registries(*, plain_http: bool, ca_file: str | None) -> AsyncIterator[RegistryClient]:
    context = ssl.create_default_context()
    if ca_file:
        try:
            await asyncio.to_thread(context.load_verify_locations, ca_file)
        except ssl.SSLError:
            raise UsageError(f"--ca-file {ca_file}: there are no certificates in it (PEM)") from None
        except OSError as error:
            raise UsageError(f"--ca-file {ca_file}: {error.strerror}") from None
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    connector = aiohttp.TCPConnector(ssl=context)
    # Without cookies: checks of several users at one registry must know nothing of each other.
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield RegistryClient(session, plain_http)


def _untrusted(error: Exception) -> str:
    """OpenSSL's sentence, without Python's."""
    return str(getattr(error, "verify_message", "") or "it can't be verified").rstrip(".")


async def _read(response: aiohttp.ClientResponse) -> _Answer:
    body = await response.content.read(_LONGEST_BODY)
    code = _code(body.decode(errors="replace"))
    return _Answer(response.status, response.headers.getall("WWW-Authenticate", []), code[1] if code else "")
