"""python -m tests.webhook.load WHAT: what the webhook promises under load, with figures, on a cluster of its own.

Exit status 0 if all promises were kept. The figures of a machine that does other things are worth little.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from sutler.kube.client import connect
from tests.certs.cluster_objects import Stored
from tests.cluster import ControlPlane, Place
from tests.webhook.load_rolling import rolling, rolling_by_api_server
from tests.webhook.load_rotation import rotations
from tests.webhook.load_soak import soak
from tests.webhook.load_speed import at_full_speed, memory, overloaded, start, steady
from tests.webhook.replicas import Replicas

_REPLICAS = 3


class Lab:
    def __init__(self, replicas: Replicas, arguments: argparse.Namespace) -> None:
        self.replicas = replicas
        self.control_plane = replicas.control_plane
        self.arguments = arguments
        self.broken: list[str] = []

    def promise(self, kept: object, text: str) -> None:
        print(f"{'kept  ' if kept else 'BROKEN'}  {text}", flush=True)
        if not kept:
            self.broken.append(text)

    async def run(self, what: str) -> None:
        async with self.replicas.balancer.serving():
            try:
                await SCENARIOS[what](self)
            finally:
                await asyncio.to_thread(self.replicas.end_all)


async def _rolling(lab: Lab) -> None:
    await _add_all(lab)
    report = await rolling(lab.replicas, rate=lab.arguments.rate or 200, replaced=_REPLICAS)
    lab.promise(not report.failed, f"rolling restart of {_REPLICAS} replicas, 0 failed: {report}")


async def _rolling_by_api_server(lab: Lab) -> None:
    await _add_all(lab)
    found = await rolling_by_api_server(lab.replicas, lab.control_plane, "default", creators=4, replaced=_REPLICAS)
    kept = set(found) == {"with its pull secret", "a second"}
    lab.promise(kept, f"the same, Pods created through the API server: {dict(found)}")


async def _rotation(lab: Lab) -> None:
    await _add_all(lab)
    stored = Stored(lab.control_plane)
    async with connect(str(lab.control_plane.kubeconfig), component="test") as client:
        rate = lab.arguments.rate or 20
        report = await rotations(lab.replicas, stored, client, rate=rate, certificates=20, authorities=3)
    lab.promise(not report.failed, f"20 certificates and 3 CAs changed, 0 failed: {report}")


async def _speed(lab: Lab) -> None:
    process, started = await start(lab.replicas)
    lab.promise(started.seconds < 2, f"start to ready {started.seconds:.2f} s, less than 2")
    lab.promise(started.megabytes < 80, f"idle RSS {started.megabytes:.0f} MiB, less than 80")
    rate, seconds = lab.arguments.rate or 500, lab.arguments.seconds or 30
    report = await steady(process, rate=rate, seconds=seconds)
    p99 = report.percentile(99)
    lab.promise(
        not report.failed and p99 < 10, f"{rate:g} requests/s for {seconds:g} s, p99 {p99:.1f} ms < 10: {report}"
    )
    seconds = lab.arguments.seconds or 60
    report = await at_full_speed(process, connections=32, seconds=seconds)
    speed = report.outcomes["200"] / seconds
    text = f"full speed for {seconds:g} s, no answer but 200: {speed:.0f} requests/s, {report}"
    lab.promise(not report.failed, text)
    lab.promise(memory(process.process.pid) < 120, f"loaded RSS {memory(process.process.pid):.0f} MiB")


async def _overload(lab: Lab) -> None:
    process, _ = await start(lab.replicas)
    found = await overloaded(process, share=0.1, seconds=lab.arguments.seconds or 20)
    text = f"{found.callers} callers at once where {found.capacity:.0f} a second are answered: {found.report}"
    lab.promise(set(found.report.outcomes) <= {"200", "503"}, text)
    lab.promise(found.recovery < 1, f"answered again after {found.recovery:.2f} s, less than 1")
    lab.promise(found.megabytes < 160, f"RSS at most {found.megabytes:.0f} MiB")


async def _soak(lab: Lab) -> None:
    process, _ = await start(lab.replicas)
    seconds = lab.arguments.seconds or 1200
    found = await soak(lab.replicas, process, rate=lab.arguments.rate or 100, seconds=seconds)
    megabytes, descriptors = found.growth()
    lab.promise(not found.report.failed, f"{seconds:g} s of load, 0 failed: {found.report}")
    lab.promise(megabytes < 5, f"RSS {found.megabytes[-1]:.0f} MiB, grown by {megabytes:.1f}, less than 5")
    lab.promise(descriptors < 5, f"{found.descriptors[-1]} file descriptors, grown by {descriptors}, less than 5")


async def _add_all(lab: Lab) -> None:
    for _ in range(_REPLICAS):
        await lab.replicas.add()


SCENARIOS: dict[str, Callable[[Lab], Awaitable[None]]] = {
    "rolling": _rolling,
    "rolling-pods": _rolling_by_api_server,
    "rotation": _rotation,
    "speed": _speed,
    "overload": _overload,
    "soak": _soak,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", choices=SCENARIOS)
    parser.add_argument("--rate", type=float, help="requests a second")
    parser.add_argument("--seconds", type=float)
    arguments = parser.parse_args()
    broken: list[str] = []
    with tempfile.TemporaryDirectory() as folder, Place.host() as place:
        control_plane = ControlPlane(Path(folder) / "kubernetes", place)
        control_plane.start()
        replicas = Replicas(control_plane, place, Path(folder))
        try:
            replicas.apply()
            replicas.register()
            replicas.map("quay", "quay.io/acme")
            for what in arguments.what:
                lab = Lab(replicas, arguments)
                asyncio.run(lab.run(what))
                broken += lab.broken
        finally:
            replicas.stop()
            control_plane.stop()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
