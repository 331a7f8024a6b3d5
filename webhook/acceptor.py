"""Accepts connections: one in each turn of the event loop, and no more than the limits allow.

A new connection costs a TLS handshake, as much as ten responses. asyncio's own server accepts all that wait at once: a
burst delays the established connections, their clients give up and connect again, and the overload feeds itself. Here
established connections are served between two accepts, and new ones wait in the kernel's backlog, which is bounded.
"""

import asyncio
import socket
import ssl
from typing import NoReturn

from aiohttp import web

from sutler import log
from webhook.handler import AdmissionHandler

BACKLOG = 1024
HANDSHAKE_SECONDS = 10.0
_PAUSE_SECONDS = 0.05
_CLEANUP_INTERVAL = 256
"""Accepted connections between two clean-ups of the handler's callers."""

_log = log.get(__name__)


class Acceptor:
    """Accepts connections and hands them to the server."""

    def __init__(self, admission: AdmissionHandler, server: web.Server, context: ssl.SSLContext) -> None:
        """`admission` knows the limits and which connections have sent reviews; `server` serves connections."""
        self._admission = admission
        self._server = server
        self._context = context
        self._handshakes: dict[asyncio.Task[None], None] = {}
        """Those in progress, the oldest first."""

    async def run(self, listener: socket.socket) -> NoReturn:
        loop = asyncio.get_running_loop()
        accepted = 0
        while True:
            await self._wait_for_capacity()
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # out of file descriptors, or the client has disconnected
                _log.warning("could not accept a connection", reason=error.strerror or str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._handshakes[task := asyncio.create_task(self._handshake(connection))] = None
            task.add_done_callback(self._handshakes.pop)
            accepted += 1
            if accepted % _CLEANUP_INTERVAL == 0:
                self._admission.callers.intersection_update(self._server.connections)
            await asyncio.sleep(0)

    def close(self) -> None:
        for task in self._handshakes:
            task.cancel()

    async def _wait_for_capacity(self) -> None:
        """Return when one more connection may be accepted, and close connections that never sent a review for it."""
        most = self._admission.load.limits.connections
        while len(self._handshakes) + len(connected := self._connected()) >= most:
            idle = next((transport for caller, transport in connected if caller not in self._admission.callers), None)
            if idle is not None:
                # Aborted, not closed: TLS would wait half a minute for a client that does not answer the shutdown.
                idle.abort()
            elif self._handshakes:
                next(iter(self._handshakes)).cancel()
            await asyncio.sleep(_PAUSE_SECONDS if idle is None else 0)

    def _connected(self) -> list[tuple[object, asyncio.Transport]]:
        """The open connections. The server lists closed ones, too, until their last request has ended."""
        return [(one, one.transport) for one in self._server.connections if one.transport is not None]

    async def _handshake(self, connection: socket.socket) -> None:
        # A response is one small packet, which must not wait for another one.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._server, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, TimeoutError):  # the client speaks no TLS, does not trust the certificate, or has disconnected
            connection.close()


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket. Raises OSError."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener
