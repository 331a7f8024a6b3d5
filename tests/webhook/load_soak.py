"""A long time of everyday load: memory and file descriptors must not grow, and no request may fail."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import SutlerProcess
from tests.webhook.clients import Pool, Report, everyday_bodies, trusting_anybody
from tests.webhook.load_speed import memory
from tests.webhook.replicas import Replicas, port_of


@dataclass
class Soak:
    report: Report = field(default_factory=Report)
    megabytes: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    """Both, sampled at even distances."""

    def growth(self) -> tuple[float, int]:
        """Of megabytes and descriptors: the last quarter's median over that of the second one, when all is warm."""
        return (
            _median(_quarter(self.megabytes, 3)) - _median(_quarter(self.megabytes, 1)),
            int(_median(_quarter(self.descriptors, 3)) - _median(_quarter(self.descriptors, 1))),
        )


async def soak(replicas: Replicas, process: SutlerProcess, *, rate: float, seconds: float) -> Soak:
    """Pods of many images, connections that come and go, mappings that change, certificates that are renewed."""
    found, context = Soak(), trusting_anybody()
    kept = Pool(port_of(process), lambda: context, found.report)
    fresh = Pool(port_of(process), lambda: context, found.report, keeps=False)
    bodies = everyday_bodies()
    async with asyncio.TaskGroup() as group:
        changing = group.create_task(_change(replicas))
        watching = group.create_task(_sample(process, found, seconds / 100))
        loads = (kept.at_rate(bodies, rate * 0.95, seconds), fresh.at_rate(bodies, rate * 0.05, seconds))
        await asyncio.gather(*loads)
        changing.cancel()
        watching.cancel()
    kept.close()
    return found


async def _sample(process: SutlerProcess, found: Soak, pause: float) -> None:
    pid = process.process.pid
    while True:
        found.megabytes.append(memory(pid))
        found.descriptors.append(descriptors(pid))
        await asyncio.sleep(pause)


async def _change(replicas: Replicas) -> None:
    number = 0
    while True:
        number += 1
        await asyncio.to_thread(replicas.map, f"soak-{number % 20}", f"registry-{number % 50}.example.com")
        await asyncio.sleep(1)


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _quarter(values: list[float] | list[int], number: int) -> list[float]:
    size = max(len(values) // 4, 1)
    return [float(value) for value in values[number * size : (number + 1) * size]]


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
