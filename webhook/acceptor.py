"""Takes connections in: one in each turn of the event loop, and no more than there is memory for.

A new connection costs a handshake, as much as ten answers. If all that come are taken in at once, as asyncio's own
server does, a burst of them holds up the connections that are there; whoever called on those gives up and connects
anew, and the overload feeds itself. One in each turn, those that are there are answered in between, and what is too
much waits in the kernel's queue, which has an end.
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
_TIDY_AFTER = 256

_log = log.get(__name__)


class Acceptor:
    """`admission` says who has called before; `server` makes what answers on a connection."""

    def __init__(self, admission: AdmissionHandler, server: web.Server, context: ssl.SSLContext) -> None:
        self._admission = admission
        self._server = server
        self._context = context
        self._coming: dict[asyncio.Task[None], None] = {}
        """Those that shake hands, the oldest first."""

    async def keep(self, listener: socket.socket) -> NoReturn:
        loop = asyncio.get_running_loop()
        taken = 0
        while True:
            await self._room()
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # no file descriptor is left, or the client has gone already
                _log.warning("a connection could not be taken in", reason=error.strerror or str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._coming[task := asyncio.create_task(self._shake_hands(connection))] = None
            task.add_done_callback(self._coming.pop)
            taken += 1
            if taken % _TIDY_AFTER == 0:
                self._admission.callers.intersection_update(self._server.connections)
            await asyncio.sleep(0)

    def close(self) -> None:
        for task in self._coming:
            task.cancel()

    async def _room(self) -> None:
        """Return when one more may come in. Those who have never asked for anything make room, the oldest first."""
        most = self._admission.load.limits.connections
        while len(self._coming) + len(there := self._there()) >= most:
            idle = next((transport for caller, transport in there if caller not in self._admission.callers), None)
            if idle is not None:
                # Not closed in good order: TLS would wait half a minute for one that does not answer the farewell.
                idle.abort()
            elif self._coming:
                next(iter(self._coming)).cancel()
            await asyncio.sleep(_PAUSE_SECONDS if idle is None else 0)

    def _there(self) -> list[tuple[object, asyncio.Transport]]:
        """Those that are connected; the server knows others a while longer, until their last request has ended."""
        return [(one, one.transport) for one in self._server.connections if one.transport is not None]

    async def _shake_hands(self, connection: socket.socket) -> None:
        # An answer is one small packet, which must not wait for another one.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._server, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, TimeoutError):  # somebody who speaks no TLS, trusts us not, or has gone
            connection.close()


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket. Raises OSError."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener
