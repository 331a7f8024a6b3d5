"""HTTPS connections to one server that stay open between requests.

A new connection costs the test 6 ms of a core and the API server 3 ms, several times what a request costs.
"""

import http.client
import re
import select
import ssl
import threading
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

_SECONDS = 60.0
_REFUSED_FOR_NOW = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE}


class Answer(NamedTuple):
    status: int
    """0 when there is no answer."""
    text: str
    warnings: list[str]
    """The texts of the Warning headers."""
    again: bool
    """Whether it asks for another attempt, which kubectl makes, too."""


class KeptConnections:
    """One connection for each thread."""

    def __init__(self, authority: Path) -> None:
        self._authority = authority
        self._of_thread = threading.local()
        self._all = list[http.client.HTTPSConnection]()

    def close(self) -> None:
        """The next call opens another one, which may be to another port."""
        for connection in self._all:
            connection.close()
        self._all.clear()
        self._of_thread = threading.local()

    def call(self, port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = self._open(port)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            warnings = [_warning_text(one) for one in answer.headers.get_all("Warning", [])]
            again = "Retry-After" in answer.headers and answer.status in _REFUSED_FOR_NOW
            return Answer(answer.status, answer.read().decode(), warnings, again)
        except (OSError, http.client.HTTPException):  # the latter: it has ended in the midst of its answer
            connection.close()
            return Answer(0, "", [], again=False)

    def _open(self, port: int) -> http.client.HTTPSConnection:
        kept: http.client.HTTPSConnection | None = getattr(self._of_thread, "connection", None)
        if kept is None:
            kept = http.client.HTTPSConnection("127.0.0.1", port, timeout=_SECONDS, context=self._context)
            self._of_thread.connection = kept
            self._all.append(kept)
        elif kept.sock is not None and _has_ended(kept):
            kept.close()
        return kept

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._authority))


def _has_ended(connection: http.client.HTTPSConnection) -> bool:
    """Whether the server has closed it: nothing else can be read before the next request."""
    readable, _, _ = select.select([connection.sock], [], [], 0)
    return bool(readable)


def _warning_text(header: str) -> str:
    """Of `299 - "text"`, with the text's quotes and backslashes escaped."""
    return re.sub(r"\\(.)", r"\1", header.partition('"')[2].rpartition('"')[0])
