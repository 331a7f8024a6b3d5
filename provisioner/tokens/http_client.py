"""The process's way out: no redirects, no cookies, no .netrc, bounded answers and times, texts without secrets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import HttpAnswer, HttpRequest
from provisioner.tokens.planning.proxy import proxy_of
from sutler import log

LARGEST_ANSWER_BYTES = 256 * 1024
"""The largest that is known, a list of a hundred instances, has a third of it."""

_MOST_CONNECTIONS = 16

_log = log.get(__name__)


class HttpClient:
    def __init__(self, session: aiohttp.ClientSession, environment: Mapping[str, str]) -> None:
        self._session = session
        self._environment = environment

    @classmethod
    @asynccontextmanager
    async def opened(cls, environment: Mapping[str, str]) -> AsyncIterator["HttpClient"]:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Proxies are found by proxy_of: aiohttp's own search would read .netrc, too, and use proxies for metadata.
            trust_env=False,
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "sutler-tokens"},
        ) as session:
            yield cls(session, environment)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Any whole answer, of any status.

        Raises:
            TokenError: without a whole answer of reasonable size in time.
        """
        try:
            async with asyncio.timeout(request.timeout_seconds):
                answer = await self._send(request)
        except TimeoutError:
            raise _unreachable(request, f"no answer within {request.timeout_seconds:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            cause = error.certificate_error
            why = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else "it can't be verified"
            raise _unreachable(request, f"its certificate is not trusted: {why}") from None
        except aiohttp.ClientConnectorError as error:
            raise _unreachable(
                request, f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
            ) from None
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            # Their texts may quote headers of the request or of a broken answer.
            raise _unreachable(request, f"no usable answer ({type(error).__name__})") from None
        _log.debug("request answered", request=request.name, status=answer.status)
        return answer

    async def _send(self, request: HttpRequest) -> HttpAnswer:
        async with self._session.request(
            request.method,
            request.url,
            headers=dict(request.headers),
            data=request.body or None,
            allow_redirects=False,
            proxy=proxy_of(request.url, self._environment),
            timeout=aiohttp.ClientTimeout(total=None),
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LARGEST_ANSWER_BYTES:
                    raise TokenError(
                        Reason.BAD_ANSWER, f"{request.name}: the answer has more than {LARGEST_ANSWER_BYTES} bytes"
                    )
            headers = {name.lower(): value for name, value in response.headers.items()}
            if headers.get("content-encoding", "identity") != "identity":
                raise TokenError(
                    Reason.BAD_ANSWER, f"{request.name}: the answer is compressed, which the request did not accept"
                )
            return HttpAnswer(response.status, headers, bytes(body))


def _unreachable(request: HttpRequest, why: str) -> TokenError:
    return TokenError(Reason.ENDPOINT_UNREACHABLE, f"{request.name}: {why}")
