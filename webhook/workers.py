"""`--workers N`: one process that starts N others, answers the probes for all of them, and sees them end together.

Each worker is the whole webhook, with a socket of its own on the same port, among which the kernel spreads connections.
It knows nothing of the others: what it watches and which certificate it serves is its own business, as with replicas.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus

from sutler import log, probes, runtime
from sutler.probes import ProbeResult
from webhook.exposition import merged
from webhook.settings import WebhookSettings
from webhook.team import Channel, Clock, Member

_ANSWER_SECONDS = 3.0
"""For a worker to answer the probes. One that does not is busy beyond help, or hangs."""
_END_SECONDS = 5.0
"""For a worker to end after the time that it has for its last requests."""

_log = log.get(__name__)

Serve = Callable[[WebhookSettings, Member], Awaitable[None]]


def run(settings: WebhookSettings, serve: Serve) -> int:
    """The exit status: 0 after a clean stop, 1 when a worker ended by itself."""
    clock = Clock(settings.workers)
    channels: list[Channel] = []
    for number in range(settings.workers):
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for other in channels:
                other.close()
            log.bind(worker=number)
            os._exit(runtime.run(partial(serve, settings, Member(number, theirs, clock)), settings=settings))
        theirs.close()
        channels.append(Channel(number, pid, ours))
    return runtime.run(partial(_supervise, settings, channels), settings=settings)


async def _supervise(settings: WebhookSettings, channels: Sequence[Channel]) -> None:
    team = _Team(channels)
    probing = asyncio.create_task(probes.serve_answers(settings.probe_host, settings.probe_port, team.ask))
    listening = [asyncio.create_task(channel.listen()) for channel in channels]
    watched = [(channel.name, _watched(task)) for channel, task in zip(channels, listening, strict=True)]
    try:
        await runtime.guard(("probes", _watched(probing)), *watched)
    finally:
        # Also when one has ended by itself: the others go on answering until nobody asks them any more.
        team.stopping = True
        for channel in channels:
            channel.stop()
        _, left = await asyncio.wait(listening, timeout=settings.stop_seconds + _END_SECONDS)
        for channel in channels:
            channel.kill()
        for task in (probing, *left):
            task.cancel()
        await asyncio.gather(probing, *listening, return_exceptions=True)


async def _watched(task: "asyncio.Task[None]") -> None:
    await asyncio.shield(task)


class _Team:
    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = channels
        self.stopping = False

    async def ask(self, what: str, accept: str) -> ProbeResult:
        """What all of them say together: alive and ready only if each is."""
        del accept
        if self.stopping and what == probes.READYZ:
            return probes.verdict(["process: stopping"])
        answers = await asyncio.gather(*(self._ask(channel, what) for channel in self._channels))
        if what == probes.METRICS:
            return ProbeResult(
                merged({str(number): each.body.decode() for number, each in answers if each.status == HTTPStatus.OK})
            )
        return probes.verdict(
            f"{channel.name}: {line}"
            for channel, (_, each) in zip(self._channels, answers, strict=True)
            if each.status != HTTPStatus.OK
            for line in each.body.decode().splitlines()
        )

    async def _ask(self, channel: Channel, what: str) -> tuple[int, ProbeResult]:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return channel.number, await channel.ask(what)
        except TimeoutError:
            return channel.number, probes.verdict([f"no answer within {_ANSWER_SECONDS:g} s"])
