"""A server of the webhook's in the test's own event loop, over real TLS."""

import asyncio
import io
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from tests.cluster import wait_for_async
from webhook.handler import AdmissionHandler
from webhook.state import WebhookState

APP = "quay.io/acme/app:1"
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
JSON = {"Content-Type": "application/json"}


@dataclass
class Running:
    admission: AdmissionHandler
    session: aiohttp.ClientSession
    port: int
    context: ssl.SSLContext

    @property
    def state(self) -> WebhookState:
        return self.admission.state

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/mutate"

    async def post(self, content: bytes, target: str = "?timeout=3s", **headers: str) -> tuple[int, str]:
        async with self.session.post(
            f"{self.url}{target}", data=io.BytesIO(content), headers=JSON | headers
        ) as response:
            return response.status, await response.text()

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("localhost", self.port, ssl=self.context)

    def silent(self) -> ssl.SSLSocket:
        """Connects, for one who reads nothing and answers no farewell, as if its process were frozen. Blocks."""
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(10)
        plain.connect(("127.0.0.1", self.port))
        return self.context.wrap_socket(plain, server_hostname="localhost")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def head_of(length: int, target: str = "/mutate") -> bytes:
    lines = (
        f"POST {target} HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


async def until(condition: Callable[[], bool], what: str) -> None:
    async def asked() -> bool:
        return condition()

    await wait_for_async(asked, what)
