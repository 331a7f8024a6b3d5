"""Calls a webhook as the API server's HTTP client does, at a given rate, and counts what becomes of each request."""

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from tests.webhook.pods import body, pod

MOST_IDLE = 25  # as the API server keeps of one host
# At a time: a handshake costs this client more than the webhook, and it must not be the one that is overloaded.
_DIALS = 4
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


def everyday_bodies() -> list[bytes]:
    """Reviews of about 5 KB, of Pods of 60 kinds: half of them need a pull secret."""
    pods = [pod(f"quay.io/acme/app:{n}" if n % 2 else f"docker.io/library/app:{n}") for n in range(60)]
    for each in pods:
        each["metadata"]["annotations"]["padding"] = "x" * 4000
    return [body(each) for each in pods]


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
    """Kept-alive connections, as Go's client has them: the one used last comes first.

    Where none is idle a new one is made, and the request goes out on that or on one that becomes idle meanwhile,
    whichever is first. Nothing is tried again: an answer other than 200, or none, counts as it is.
    """

    def __init__(
        self,
        port: int,
        context: Callable[[], ssl.SSLContext],
        report: Report,
        *,
        patience: int = 3,
        keeps: bool = True,
        most_idle: int = MOST_IDLE,
    ) -> None:
        """`context` is asked for each connection; without `keeps`, each request makes its own."""
        self.report = report
        self._port = port
        self._context = context
        self._patience = patience
        self._keeps = keeps
        self._most_idle = most_idle
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection]] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._dialling = asyncio.Semaphore(_DIALS)

    async def open(self, connections: int) -> None:
        """So many idle ones, before anything is asked."""
        for _ in range(connections):
            streams = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context())
            self._idle.append(Connection(*streams))

    async def post(self, body: bytes, due: float | None = None) -> bytes:
        """Returns the answer's body, empty without one."""
        due = due or perf_counter()
        outcome, content = "no answer in time", b""
        try:
            async with asyncio.timeout(self._patience):
                connection = await self._connection()
                status, content = await connection.post(body, self._patience)
            outcome = str(status)
            self._give_back(connection)
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

    async def flat_out(self, bodies: list[bytes], connections: int, seconds: float) -> None:
        """So many at a time, each as soon as the one before is answered."""
        end = perf_counter() + seconds

        async def one_after_the_other(first: int) -> None:
            number = first
            while perf_counter() < end:
                await self.post(bodies[number % len(bodies)])
                number += 1

        await asyncio.gather(*(one_after_the_other(number) for number in range(connections)))

    def close(self) -> None:
        for dial in self._dials:
            dial.cancel()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            connection.close()
        waiting: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._dials.add(dial := asyncio.create_task(self._dial(waiting)))
        dial.add_done_callback(self._dials.discard)
        return await waiting

    async def _dial(self, asking: "asyncio.Future[Connection]") -> None:
        async with self._dialling:
            if asking.done():
                return
            try:
                streams = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context())
            except OSError as error:
                if not asking.done():
                    asking.set_exception(error)
            else:
                self._hand_over(Connection(*streams))

    def _give_back(self, connection: Connection) -> None:
        if connection.stays and self._keeps:
            self._hand_over(connection)
        else:
            connection.close()

    def _hand_over(self, connection: Connection) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return
        if len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            connection.close()


def trusting_anybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
