"""Parts of HTTP that nearly every request uses, faster than the library's: the time-out in the URL, the response."""

import re
from functools import lru_cache

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

DEFAULT_TIMEOUT_SECONDS = 10.0
"""The default of the API for webhooks, for a URL without a time-out."""
_LONGEST_TIMEOUT_SECONDS = 30.0

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_LAST_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"

_MOST_UNREAD_BYTES = 256 * 1024
"""Responses that are buffered for a client that sends requests and does not read what it gets."""

_timeout = re.compile(r"[?&]timeout=(\d+(?:\.\d+)?)(ms|s)(?:&|$)").search


@lru_cache(maxsize=64)
def timeout_seconds(target: str, path: str) -> float:
    """How long the API server waits for the response, which it writes into the URL as `?timeout=3s`.

    Args:
        target: Path and query of the request. There are as many different ones as webhook configurations.
        path: The only path that is served.

    Raises:
        KeyError: when the target has another path.
    """
    if target.partition("?")[0] != path:
        raise KeyError(target)
    found = _timeout(target)
    if found is None:
        return DEFAULT_TIMEOUT_SECONDS
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1)
    return min(seconds, _LONGEST_TIMEOUT_SECONDS) or DEFAULT_TIMEOUT_SECONDS


class FastResponse(web.StreamResponse):
    """Status 200 with a JSON body; head and body are one write.

    aiohttp's own Response builds the same three headers for every request, which takes a quarter of the request's cost
    without TLS. This class implements what aiohttp's server calls: prepare, write_eof and keep_alive.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content
        self._keeps_alive = True

    @property
    def keep_alive(self) -> bool | None:
        return self._keeps_alive

    def force_close(self) -> None:
        self._keeps_alive = False

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        head = _HEAD if self._keeps_alive else _LAST_HEAD
        self._keeps_alive = self._keeps_alive and request.keep_alive
        transport = request.transport
        if transport is None:  # the client has disconnected
            return None
        if transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            transport.abort()
        else:
            transport.write(head % (len(self._content), self._content))
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` has written the whole response."""
