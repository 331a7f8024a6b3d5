"""Calls a webhook as the API server's HTTP client does, at a given rate, and counts what becomes of each request."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

REQUEST = (
    b"POST /mutate?timeout=%ds HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-apiserver\r\n"
    b"Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: %d\r\n\r\n%b"
)


@dataclass
class Report:
    outcomes: Counter[str] = field(default_factory=Counter)
    """By status, or by what happened instead of an answer."""
    latencies: list[float] = field(default_factory=list)
    """Of answers with status 200, in seconds, from when the request was due, whether or not it could be sent then."""

    @property
    def failed(self) -> dict[str, int]:
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != "200"}

    def percentile(self, percent: float) -> float:
        """In milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)] * 1000 if ordered else 0.0

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} x {outcome}" for outcome, count in self.outcomes.most_common())
        return f"{outcomes}; p50 {self.percentile(50):.1f} ms, p99 {self.percentile(99):.1f} ms"


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.stays = True

    async def post(self, body: bytes, seconds: int) -> tuple[int, bytes]:
        self.stays = False
        self._writer.write(REQUEST % (seconds, len(body), body))
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        content = await self._reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        self.stays = b"connection: close" not in head
        return int(head.split()[1]), content

    @property
    def closed(self) -> bool:
        """By the other side, while nothing was asked: Go's client takes notice of that, too."""
        return self._reader.at_eof() or self._reader.exception() is not None

    def close(self) -> None:
        self._writer.close()


class Pool:
    """Kept-alive connections: the one used last comes first, and a new one is made when none is idle.

    Nothing is tried again: an answer other than 200, or none, counts as it is.
    """

    def __init__(
        self,
        port: int,
        context: Callable[[], ssl.SSLContext],
        report: Report,
        *,
        patience: int = 3,
        keeps: bool = True,
    ) -> None:
        """`context` is asked for each connection; without `keeps`, each request makes its own."""
        self.report = report
        self._port = port
        self._context = context
        self._patience = patience
        self._keeps = keeps
        self._idle: list[Connection] = []
        self.opened = 0

    async def post(self, body: bytes, due: float | None = None) -> bytes:
        """Returns the answer's body, empty without one."""
        due = due or perf_counter()
        outcome, content = "no answer in time", b""
        try:
            async with asyncio.timeout(self._patience):
                connection = self._take() or await self._connect()
                status, content = await connection.post(body, self._patience)
            outcome = str(status)
            if connection.stays and self._keeps:
                self._idle.append(connection)
            else:
                connection.close()
        except TimeoutError:
            pass
        except (OSError, asyncio.IncompleteReadError) as error:
            outcome = type(error).__name__
        self.report.outcomes[outcome] += 1
        if outcome == "200":
            self.report.latencies.append(perf_counter() - due)
        return content

    async def at_rate(self, bodies: list[bytes], rate: float, seconds: float) -> None:
        """Requests become due at this rate, however long the answers take."""
        begin = perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due = begin + number / rate
                if (early := due - perf_counter()) > 0:
                    await asyncio.sleep(early)
                group.create_task(self.post(bodies[number % len(bodies)], due))

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        self.opened += 1
        streams = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context())
        return Connection(*streams)


def trusting_anybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
