"""A client as a script would have one: HTTPS, a token, JSON."""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.cluster import wait_for

VIEWER, EDITOR, ADMIN = "viewer-token-0123456789", "editor-token-0123456789", "admin-token-0123456789"
AT_ONCE = {"Prefer": "respond-async, wait=0"}
"""Of long work: not even the usual two seconds are waited."""
TOKENS = f"# made for tests\n{VIEWER},vera,viewer\n{EDITOR},edith,editor\n{ADMIN},ada,admin\n"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Message
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def etag(self) -> str:
        return self.headers["ETag"]


@dataclass(frozen=True)
class Api:
    url: str
    authority: Path
    """File with the CA of its certificate."""
    token: str | None = ADMIN
    base: str = "/api/v1"
    context: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "context", ssl.create_default_context(cafile=str(self.authority)))

    def as_(self, token: str | None) -> "Api":
        return replace(self, token=token)

    def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, timeout: float = 30
    ) -> Reply:
        """`path` below /api/v1; `body` goes out as JSON, bytes as they are."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        target = urlsplit(self.url)
        assert target.hostname is not None
        connection = http.client.HTTPSConnection(target.hostname, target.port, context=self.context, timeout=timeout)
        try:
            connection.request(method, self.base + path, data, sent)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()

    @contextmanager
    def begun(self, method: str, path: str, body: Any) -> Iterator[None]:
        """A request that the service has begun to process, as it has reported, and whose response is not read."""
        target, data = urlsplit(self.url), json.dumps(body).encode()
        assert target.hostname is not None
        head = [f"{method} {self.base}{path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self.token}"]
        head += ["Content-Type: application/json", f"Content-Length: {len(data)}", "Expect: 100-continue", "", ""]
        with (
            socket.create_connection((target.hostname, target.port or 0), timeout=30) as plain,
            self.context.wrap_socket(plain, server_hostname=target.hostname) as connection,
        ):
            connection.sendall("\r\n".join(head).encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
            connection.sendall(data)
            yield

    def get(self, path: str, **more: Any) -> Reply:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Reply:
        return self.call("POST", path, body, **more)

    def patch(self, path: str, body: Any, **more: Any) -> Reply:
        return self.call("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Reply:
        return self.call("DELETE", path, **more)

    def pages(self, path: str, limit: int) -> Iterator[Any]:
        """All pages, by their cursors."""
        cursor = ""
        while True:
            answer = self.get(
                f"{path}{'&' if '?' in path else '?'}limit={limit}" + (f"&cursor={cursor}" if cursor else "")
            )
            assert answer.status == 200, answer.text
            yield answer.json
            cursor = answer.json["next_cursor"]
            if cursor is None:
                return

    def finished(self, accepted: Reply, timeout: float = 120) -> Any:
        """The operation of a 202, when it is over."""
        assert accepted.status == 202, accepted.text
        path = accepted.headers["Location"].removeprefix(self.base)

        def ended() -> Any:
            shown = self.get(path).json
            return shown if shown["state"] != "running" else None

        return wait_for(ended, "the operation to end", timeout)
