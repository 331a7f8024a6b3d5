"""Several processes that serve on the same port, and the pipe between each of them and the one that started them.

Questions of the probes go through it to the worker, answers come back. When it breaks, the other side is gone.
"""

import asyncio
import itertools
import mmap
import os
import signal
import socket
from collections.abc import Mapping
from typing import NoReturn

from sutler import probes
from sutler.errors import SutlerError
from sutler.probes import Check, ProbeResult

_STOP = "stop"
_DOUBLE = 8


class Orphaned(SutlerError):  # noqa: N818 - named after what happened
    """The process that started this one has ended, and with it the probes: nobody would notice what becomes of us."""


class WorkerEnded(SutlerError):  # noqa: N818 - named after what happened
    pass


class Clock:
    """When each worker was last asked to decide, in memory that all of them share. They go when it is quiet for all."""

    def __init__(self, workers: int) -> None:
        self._times = memoryview(mmap.mmap(-1, workers * _DOUBLE)).cast("d")

    def latest(self, worker: int, own: float) -> float:
        self._times[worker] = own
        return max(self._times)


class Member:
    """One worker, as seen by itself."""

    def __init__(self, number: int, channel: socket.socket, clock: Clock) -> None:
        self.number = number
        self._channel = channel
        self._clock = clock

    def last_request(self, own: float) -> float:
        """Of all workers, if `own` is this one's."""
        return self._clock.latest(self.number, own)

    async def answer(self, checks: Mapping[str, Check]) -> NoReturn:
        """Answer the probes' questions for ever. Raises Orphaned."""
        reader, writer = await asyncio.open_connection(sock=self._channel)
        stopping = False
        while line := await reader.readline():
            number, what = line.decode().split()
            if what == _STOP:
                if not stopping and checks["process"]() is None:
                    os.kill(os.getpid(), signal.SIGTERM)  # as if it had come to this process
                stopping = True
                continue
            found = probes.answer(what, checks)
            writer.write(f"{number} {found.status} {len(found.body)}\n".encode() + found.body)
            await writer.drain()
        raise Orphaned("the process that started this worker has ended")


class Channel:
    """One worker, as seen by the process that started it."""

    def __init__(self, number: int, pid: int, channel: socket.socket) -> None:
        self.name = f"worker {number}"
        self.number = number
        self._pid = pid
        self._socket = channel
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[ProbeResult]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self.ended = False

    def close(self) -> None:
        self._socket.close()

    async def listen(self) -> NoReturn:
        """Take answers for ever. Raises WorkerEnded."""
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        while line := await reader.readline():
            number, status, size = map(int, line.split())
            found = ProbeResult(await reader.readexactly(size), status)
            # One who has waited too long has gone.
            if (asked := self._asked.pop(number, None)) is not None and not asked.done():
                asked.set_result(found)
        _, status = await asyncio.to_thread(os.waitpid, self._pid, 0)
        self.ended = True
        raise WorkerEnded(f"{self.name} has ended with status {os.waitstatus_to_exitcode(status)}")

    async def ask(self, what: str) -> ProbeResult:
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._write(number, what)
            return await self._asked[number]
        finally:
            self._asked.pop(number, None)

    def stop(self) -> None:
        self._write(next(self._numbers), _STOP)

    def kill(self) -> None:
        if not self.ended:
            os.kill(self._pid, signal.SIGKILL)

    def _write(self, number: int, what: str) -> None:
        if self._writer is not None and not self.ended:
            self._writer.write(f"{number} {what}\n".encode())
