"""Where servers run: on the host, or in a network namespace of their own without a way out.

Addresses are always 127.0.0.1. Ports are reserved on the host in both cases, so that a forwarded port is the
same inside and outside and one kubeconfig or ceph.conf serves both.
"""

import ctypes
import os
import random
import socket
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster.errors import ClusterError

# Below the kernel's ephemeral range, so that no outgoing connection takes one in passing, and below node ports.
_PORTS = range(20_000, 30_000)
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_HOLDER = Path(__file__).with_name("netns.py")


class Place:
    """The host itself; `Place.namespace()` gives an isolated one."""

    name = "host"
    isolated = False

    def __init__(self) -> None:
        self.prefix: list[str] = []
        self._reserved: dict[int, socket.socket] = {}

    @staticmethod
    def host() -> "Place":
        return Place()

    @staticmethod
    def namespace() -> "Place":
        return _Namespace()

    @staticmethod
    def why_no_namespace() -> str:
        """What keeps `namespace()` from working here; empty when nothing does."""
        try:
            Place.namespace().close()
        except ClusterError as error:
            return str(error)
        return ""

    def port(self) -> int:
        """A port that no other process gets until `close()`, not even while its server restarts."""
        return self.ports(1)[0]

    def ports(self, count: int) -> range:
        """`count` such ports in a row.

        They are bound but not listened on. Linux lets a server that sets SO_REUSEADDR (Go, Ceph and asyncio do)
        listen on such a port; a process that binds in the same way is refused.
        """
        firsts = range(_PORTS.start, _PORTS.stop - count + 1)
        for first in random.sample(firsts, min(len(firsts), 200)):
            block = range(first, first + count)
            if sockets := _bind_all(block):
                self._reserved.update(zip(block, sockets, strict=True))
                return block
        raise ClusterError(f"no {count} free ports in a row between {_PORTS.start} and {_PORTS.stop} on 127.0.0.1")

    def forward(self, *ports: int) -> None:
        """Make servers on these ports of the place answer on the host's 127.0.0.1, too."""

    def published(self, inside: int) -> int:
        """The port of the host's 127.0.0.1 where the server on the port `inside` of the place answers."""
        return inside

    def enter(self) -> None:
        """Move the calling thread into the place: a socket that it opens from now on is there."""

    def close(self) -> None:
        for reserved in self._reserved.values():
            reserved.close()
        self._reserved.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Namespace(Place):
    """A network namespace that lives as long as the process that holds it, and so can't be left behind.

    The holder is also the forwarder: it is handed sockets that listen on the host and connects inside.
    Only the network is separate: mounts, processes and files are the host's.
    """

    isolated = True

    def __init__(self) -> None:
        super().__init__()
        self._asking = threading.Lock()  # parts of a cluster start side by side
        if os.geteuid() != 0:
            raise ClusterError("a network namespace is made by root only: run as root, or go without a node")
        from tests.cluster.process import Process  # noqa: PLC0415 - a Process runs in a Place, and this Place in a Process

        ours, theirs = socket.socketpair()
        self._control = ours
        with theirs:
            self._holder = Process.started(
                [sys.executable, "-I", _HOLDER, str(theirs.fileno())],
                place=Place.host(),
                log=Path("/dev/null"),  # what goes wrong comes as the answer
                pass_fds=[theirs.fileno()],
            )
        ours.settimeout(10)
        try:
            self._expect_answer("make a network namespace")
        except BaseException:
            self.close()
            raise
        self.name = f"net-of-{self._holder.pid}"
        self.prefix = ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--"]

    def forward(self, *ports: int) -> None:
        for port in ports:
            self._lead(port, port)

    def published(self, inside: int) -> int:
        port = self.port()
        self._lead(port, inside)
        return port

    def enter(self) -> None:
        with Path(f"/proc/{self._holder.pid}/ns/net").open("rb") as namespace:
            if _LIBC.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise ClusterError(f"could not enter {self.name}: {os.strerror(ctypes.get_errno())}")

    def close(self) -> None:
        """Ends the namespace. Stop its servers first: they would keep it alive."""
        super().close()
        self._control.close()
        self._holder.stop()

    def _lead(self, port: int, inside: int) -> None:
        listener = self._reserved[port]
        with self._asking:
            listener.listen(128)
            socket.send_fds(self._control, [str(inside).encode()], [listener.fileno()])
            self._expect_answer(f"forward port {port}")

    def _expect_answer(self, what: str) -> None:
        answer = self._control.recv(1024).decode()
        if answer != "done":
            raise ClusterError(f"could not {what}: {answer or 'its holder ended'}")


def _bind_all(ports: range) -> list[socket.socket]:
    """Sockets bound to all of `ports`, or none when one is taken."""
    bound: list[socket.socket] = []
    for port in ports:
        candidate = socket.socket()
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            for taken in (*bound, candidate):
                taken.close()
            return []
        # Only now: with it, bind() would also take what another place has reserved and no server listens on yet.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.append(candidate)
    return bound
