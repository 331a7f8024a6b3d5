"""One HTTP connection pool to one API server, on kubernetes-asyncio's REST client.

It adds: no environment variable or .netrc redirects or authenticates a request, every wait has a time-out,
credentials are renewed, every failure becomes a KubeError, and bodies are bytes that are never logged.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sutler.kube import config
from sutler.kube.errors import ConfigError, KubeError, Unreachable, api_error
from sutler.kube.metrics import REQUESTS
from sutler.text import shortened

_CONNECT_SECONDS = 10.0
# Seconds. Rejected credentials are read again, but no more often than this.
_RENEWAL_PERIOD = 10.0

Check = Callable[[], None]
_fence: ContextVar[Check | None] = ContextVar("fence", default=None)


@dataclass(frozen=True)
class Call:
    """One request as data. `name` is its name in error texts ("PATCH secrets/status default/a")."""

    method: str
    path: str
    name: str
    query: list[tuple[str, str]] = field(default_factory=list)
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"
    sensitive: bool = False


class _Request(aiohttp.ClientRequest):
    """Checks the fence when the connection is open, immediately before the bytes are sent."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        if (check := _fence.get()) is not None:
            check()
        return await super().send(conn)

    async def write_bytes(self, writer: Any, conn: Any, content_length: int | None = None) -> None:
        # This runs in a task of its own, one turn of the event loop later: a process frozen in between lost its lease.
        if (check := _fence.get()) is not None:
            try:
                check()
            except Exception as lost:  # noqa: BLE001 - the caller that waits for the response gets it
                conn.protocol.set_exception(lost)
                conn.close()
                return
        await super().write_bytes(writer, conn, content_length)


class Transport:
    """The connections to one API server, with its credentials."""

    def __init__(self, source: config.ClientConfig, component: str) -> None:
        self._source = source
        self._user_agent = f"sutler-{component}"
        self._configuration: Any = None
        self._rest: Any = None
        self._tls_files: tuple[bytes | None, ...] = ()
        self._renewing = asyncio.Lock()
        self._renewed_at = 0.0
        self.host = ""
        self._dated = ("", datetime.now(UTC))

    def now(self) -> datetime:
        """The time by the API server's clock, from its last response; by the local clock without one."""
        date, received = self._dated
        now = datetime.now(UTC)
        try:
            return parsedate_to_datetime(date) + (now - received)
        except (ValueError, TypeError):
            return now

    async def open(self) -> None:
        self._configuration = await config.read(self._source)
        self._tls_files = config.tls_files(self._configuration)
        self._rest = self._rest_client(self._configuration)
        self.host = urlsplit(self._configuration.host).netloc

    async def close(self) -> None:
        if self._rest is not None:
            await self._rest.close()

    async def send(self, call: Call, timeout: float, check: Check | None = None) -> bytes:  # noqa: ASYNC109 - its error names it
        """Send a call and return the body of its 2xx response.

        Raises:
            ApiError: for any other response.
            Unreachable: without a whole response in time.
        """
        with _convert_errors(call, self.host, timeout):
            async with asyncio.timeout(timeout), self._response(call, check) as response:
                return await response.read()

    @asynccontextmanager
    async def stream(self, call: Call, timeout: float) -> AsyncIterator[aiohttp.StreamReader]:  # noqa: ASYNC109 - the same
        """Stream the body of a 2xx response. `timeout` covers the time until the body begins."""
        with _convert_errors(call, self.host, timeout):
            async with asyncio.timeout(timeout) as opening, self._response(call, None) as response:
                opening.reschedule(None)
                yield response.content

    @asynccontextmanager
    async def _response(self, call: Call, check: Check | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """The 2xx response. Rejected credentials are renewed once: a call with status 401 has changed nothing."""
        used = self._configuration
        response = await self._request(call, check)
        if response.status == 401 and await self._renew(used):  # noqa: PLR2004 - HTTP's own
            response.release()
            response = await self._request(call, check)
        try:
            if not 200 <= response.status < 300:  # noqa: PLR2004 - HTTP's own
                retry_after = response.headers.get("Retry-After")
                body = await response.read()
                raise api_error(
                    response.status,
                    body,
                    call=call.name,
                    retry_after=retry_after,
                    sent=call.body if call.sensitive else None,
                )
            yield response
        finally:
            # A whole response has released its connection; one with an unread rest must not be reused.
            response.close()

    async def _request(self, call: Call, check: Check | None) -> aiohttp.ClientResponse:
        headers = {"Accept": call.accept, "Content-Type": call.content_type, "User-Agent": self._user_agent}
        if authorization := await self._authorization():
            headers["Authorization"] = authorization
        token = _fence.set(check)
        code = "<error>"
        used = self._configuration
        try:
            response: aiohttp.ClientResponse = await self._rest.request(
                call.method,
                self._configuration.host + call.path,
                query_params=call.query,
                headers=headers,
                body=call.body,
                _preload_content=False,
                _request_timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS),
            )
            code = str(response.status)
            self._dated = (response.headers.get("Date", ""), datetime.now(UTC))
        except aiohttp.ClientConnectorCertificateError:
            # The cluster's CA may have been rotated: the next attempt uses the present files.
            await self._renew(used)
            raise
        finally:
            _fence.reset(token)
            REQUESTS.labels(code, call.method, self.host).inc()
        return response

    async def _authorization(self) -> str:
        """The header's value. The library reads the service account's token again each minute."""
        try:
            value = await self._configuration.get_api_key_with_prefix("BearerToken")
        except Exception:  # noqa: BLE001 - the file is being replaced; the old token is still valid
            value = self._configuration.api_key.get("BearerToken")
        return (value or "").strip()

    async def _renew(self, used: Any) -> bool:
        """Reload the configuration unless another task replaced `used` already. False within 10 s of a reload."""
        async with self._renewing:
            if self._configuration is not used:
                return True  # of many requests that were rejected together, one has reloaded it
            if self._renewed_at and monotonic() < self._renewed_at + _RENEWAL_PERIOD:
                return False
            self._renewed_at = monotonic()
            try:
                fresh = await config.read(self._source)
                tls_files = config.tls_files(fresh)
                rest = self._rest if tls_files == self._tls_files else self._rest_client(fresh)
            except (ConfigError, OSError):
                return False
            old, self._configuration, self._tls_files, self._rest = self._rest, fresh, tls_files, rest
            if rest is not old:
                await old.close()
            return True

    def _rest_client(self, configuration: Any) -> Any:
        try:
            rest = config.library.RESTClientObject(configuration)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self._source}: the certificates in it can't be used: {shortened(str(error))}"
            ) from error
        connector = rest.pool_manager.connector
        rest.pool_manager.detach()
        rest.pool_manager = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
        )
        return rest


class _convert_errors:  # noqa: N801 - used as a statement; contextlib's generator would keep a frame per request
    """Converts errors of the HTTP library into Unreachable."""

    def __init__(self, call: Call, host: str, timeout: float) -> None:
        self._call, self._host, self._timeout = call, host, timeout

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, (KubeError, asyncio.CancelledError)):
            return
        if isinstance(error, TimeoutError):
            raise Unreachable(f"{self._call.name}: {self._host} did not answer within {self._timeout:g} s") from error
        if isinstance(error, (aiohttp.ClientError, ssl.SSLError, OSError)):
            raise Unreachable(f"{self._call.name}: {self._host}: {_describe(error)}") from error


def _describe(error: BaseException) -> str:
    """Describe an error without the library's text, which may quote headers of a broken response."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        why = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
        return f"its certificate is not trusted: {shortened(why)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the response was cut off"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionError):
        return "the connection was closed without a response"
    return f"no usable response ({type(error).__name__})"
