"""How quickly one webhook starts and answers, what it takes up, and what it does with three times what it can."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.cluster import SutlerProcess
from tests.webhook.clients import Pool, Report, everyday_bodies, trusting_anybody
from tests.webhook.replicas import Replicas, port_of
from webhook.limits import ConcurrencyLimits

_SLICE_SECONDS = 0.01
_WARM_CONNECTIONS = 16
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Start:
    seconds: float
    """From the start of the process to ready."""
    megabytes: float
    """Resident, when it has nothing to do yet."""


@dataclass(frozen=True)
class Overload:
    callers: int
    capacity: float
    """Requests a second that it answers when it has as much to do as it can."""
    report: Report
    """Of all callers."""
    recovery: float
    """Seconds from the end of that until an answer came at once again."""
    megabytes: float
    """Resident at most."""


async def start(replicas: Replicas) -> tuple[SutlerProcess, Start]:
    begin = perf_counter()
    process = await asyncio.to_thread(replicas.launch)
    await asyncio.to_thread(process.wait_ready, 120)
    took = perf_counter() - begin
    await asyncio.sleep(1)
    return process, Start(took, memory(process.process.pid))


async def steady(process: SutlerProcess, *, rate: float, seconds: float) -> Report:
    report, context = Report(), trusting_anybody()
    pool = Pool(port_of(process), lambda: context, report)
    bodies = everyday_bodies()
    await pool.flat_out(bodies, _WARM_CONNECTIONS, 1)
    report.latencies.clear()
    await pool.at_rate(bodies, rate, seconds)
    pool.close()
    return report


async def at_full_speed(process: SutlerProcess, *, connections: int, seconds: float) -> Report:
    report, context = Report(), trusting_anybody()
    pool = Pool(port_of(process), lambda: context, report)
    await pool.flat_out(everyday_bodies(), connections, seconds)
    pool.close()
    return report


async def overloaded(process: SutlerProcess, *, share: float, seconds: float) -> Overload:
    """Three times as many callers at once as it can answer within the time that a request may wait.

    It gets only `share` of a core, so that the load can come from the same machine.
    """
    pid, context = process.process.pid, trusting_anybody()
    report, bodies = Report(), everyday_bodies()
    with throttled(pid, share):
        capacity = (await at_full_speed(process, connections=16, seconds=2)).outcomes["200"] / 2
    callers = min(int(3 * capacity * ConcurrencyLimits().lag_seconds), ConcurrencyLimits().connections - 100)
    pool = Pool(port_of(process), lambda: context, report, patience=10, most_idle=callers)
    await pool.open(callers)
    with throttled(pid, share):
        running = asyncio.create_task(pool.flat_out(bodies, callers, seconds))
        most = memory(pid)
        while not running.done():
            most = max(most, memory(pid))
            await asyncio.sleep(_LOOK_SECONDS)
        await running
        recovery = await _recovery(process)
    pool.close()
    return Overload(callers, capacity, report, recovery, most)


async def _recovery(process: SutlerProcess) -> float:
    begin, context = perf_counter(), trusting_anybody()
    while True:
        one = Report()
        pool = Pool(port_of(process), lambda: context, one)
        await pool.post(everyday_bodies()[0])
        pool.close()
        if one.outcomes["200"]:
            return perf_counter() - begin


def memory(pid: int) -> float:
    """MiB resident, of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_resident(one) for one in (pid, *map(int, children)))


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def throttled(pid: int, share: float) -> Iterator[None]:
    """Let it run only so much of the time, as a limit of CPU does."""
    end = threading.Event()

    def alternate() -> None:
        while not end.is_set():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(_SLICE_SECONDS * (1 - share))
            os.kill(pid, signal.SIGCONT)
            time.sleep(_SLICE_SECONDS * share)

    thread = threading.Thread(target=alternate)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
