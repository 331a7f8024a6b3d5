"""How fast claims get their volumes, next to a bare loop of librbd's create in the same run. Run as a module.

One control plane, one Ceph with a memory store, one `python -m provisioner volumes`. First the whole way with the
controller manager of Kubernetes, which starts 4 to 6 claims a second, with any provisioner; then without it. All claims
of a round are there, and are served from the moment when their StorageClass is made. Rounds of ours and of the bare
loop alternate, so that what else the machine does hits both; the medians are compared. Everything shares the machine's
cores: the processor time of each process is shown, too.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import rados
import rbd

from tests.cluster import Ceph, ControlPlane, Place, SutlerProcess, wait_for
from tests.volumes import bulk
from tests.volumes.process_usage import Usage

GIB = 1 << 30
LAYERING = 1
SYSTEM = "sutler-system"
MADE = 'controller_persistentvolumeclaim_provision_total{{class="{}",source="rbd"}}'


@dataclass
class Bench:
    control_plane: ControlPlane
    ceph: Ceph
    state: Path
    ioctx: Any
    claims: int
    """In a round."""

    def process(self, *arguments: str) -> SutlerProcess:
        every = ["provisioner", "volumes", f"--namespace={SYSTEM}", "--reconcile-interval=100000", *arguments]
        place, env = self.control_plane.place, {"CEPH_CONF": str(self.ceph.conf)}
        return SutlerProcess(every, self.control_plane.kubeconfig, place, self.state, env)

    def usage(self, process: SutlerProcess) -> Usage:
        plane = self.control_plane
        return Usage(
            {"Sutler": process.process, "API server": plane.apiserver, "etcd": plane.etcd, "OSD": self.ceph.osd}
        )


@dataclass
class Round:
    rate: float
    """Volumes a second."""
    operations: float
    """Of the OSD, for a claim."""
    spent: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, default=200, help="in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument(
        "--volumes", type=int, default=10_000, help="that are there already, for memory and start; 0: none"
    )
    chosen = parser.parse_args()
    for bench in running(chosen.claims):
        bound(bench)
        bench.control_plane.controller_manager.freeze()
        print(f"{chosen.claims} claims a round, medians of {chosen.rounds} rounds; ms of processor time for a claim")
        for journal in (False, True):
            for workers in chosen.workers if not journal else [8]:
                rates(bench, workers, chosen.rounds, journal=journal)
        if chosen.volumes:
            many(bench, chosen.volumes)


def running(claims: int) -> Iterator[Bench]:
    with Place.host() as place, TemporaryDirectory() as folder:
        state = Path(folder)
        control_plane, ceph = ControlPlane(state / "kubernetes", place), Ceph(state / "ceph", place)
        try:
            ceph.start()
            control_plane.start()
            for pool in ("bare", "rbd"):
                ceph.pool(pool)
            for namespace in (SYSTEM, "bench"):
                control_plane.create_namespace(namespace)
            with rados.Rados(conffile=str(ceph.conf)) as cluster, cluster.open_ioctx("bare") as ioctx:
                yield Bench(control_plane, ceph, state, ioctx, claims)
        finally:
            control_plane.stop()
            ceph.stop()


def rates(bench: Bench, workers: int, rounds: int, *, journal: bool) -> None:
    process = bench.process(f"--workers={workers}")
    process.start()
    try:
        name = f"{'journal' if journal else 'static'}-{workers}"
        # The first round of each only warms up: connections, caches, code that has not run yet.
        bare_round(bench, f"{name}-first", workers)
        asked = requests(process)
        our_round(bench, process, f"{name}-first", journal=journal)
        calls = (settled(process) - asked) / bench.claims
        rounds_of_both = [
            (bare_round(bench, f"{name}-{n}", workers), our_round(bench, process, f"{name}-{n}", journal=journal))
            for n in range(rounds)
        ]
    finally:
        process.stop()
    bare = statistics.median(one for one, _ in rounds_of_both)
    rate = statistics.median(ours.rate for _, ours in rounds_of_both)
    last = rounds_of_both[-1][1]
    what = f"{workers:2} workers, {'journal' if journal else 'static '}"
    cost = f"{last.operations:.1f} OSD operations, {calls:.1f} API calls; {last.spent}"
    print(f"{what}: {rate:5.0f}/s, bare {bare:5.0f}/s, ratio {rate / bare:.2f}; {cost}", flush=True)


def bare_round(bench: Bench, name: str, threads: int) -> float:
    librbd = rbd.RBD()

    def create(number: int) -> None:
        librbd.create(bench.ioctx, f"{name}-{number}", GIB, old_format=False, features=LAYERING)

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(create, range(bench.claims)))
    return bench.claims / (time.perf_counter() - began)


def our_round(bench: Bench, process: SutlerProcess, name: str, *, journal: bool) -> Round:
    kubeconfig = bench.control_plane.kubeconfig
    # The claims of a round are together in a namespace, as those of an application that is being deployed.
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    bench.control_plane.request("POST", "/api/v1/namespaces", namespace)
    asyncio.run(bulk.claims(kubeconfig, name, name, bench.claims))
    usage, before = bench.usage(process), operations(bench.ceph)
    taken = asyncio.run(bulk.time_of_volumes(kubeconfig, name, bench.claims, journal=journal))
    spent = usage.spent_per(bench.claims)
    return Round(bench.claims / taken, (operations(bench.ceph) - before) / bench.claims, spent)


def requests(process: SutlerProcess) -> float:
    return sum(value for key, value in process.metrics().items() if key.startswith("rest_client_requests_total"))


def settled(process: SutlerProcess) -> float:
    """When the events have been sent, too."""
    last = -1.0
    while (now := requests(process)) - last > 2:  # the lease is renewed all the while
        last = now
        time.sleep(1)
    return now


def many(bench: Bench, count: int) -> None:
    """Memory, start and idling with that many volumes and claims."""
    kubeconfig = bench.control_plane.kubeconfig
    asyncio.run(bulk.storage_class(kubeconfig, "many"))
    images = asyncio.run(bulk.volumes(kubeconfig, "bench", "many", count))
    bulk.images(bench.ceph, "rbd", images)
    asyncio.run(bulk.claims(kubeconfig, "bench", "first", 1))
    asyncio.run(bulk.storage_class(kubeconfig, "first"))
    process = bench.process()
    began = time.perf_counter()
    process.launch()
    try:
        wait_for(lambda: metric(process, MADE.format("first")) == 1, "the first claim to be served", 60)
        start = time.perf_counter() - began
        time.sleep(5)
        usage = bench.usage(process)
        time.sleep(10)
        idle = usage.share("Sutler")
        memory = metric(process, "process_resident_memory_bytes") / 2**20
    finally:
        process.stop()
    first = f"{start:.1f} s from start to the first claim served"
    print(f"with {count} volumes and claims: {first}, {memory:.0f} MiB, idle {idle:.2%} of a core")


def metric(process: SutlerProcess, name: str) -> float:
    try:
        return process.metrics().get(name, 0)
    except OSError:
        return 0  # not started yet


def bound(bench: Bench) -> None:
    """The whole way, with Kubernetes' own binder."""
    plane = bench.control_plane
    process = bench.process()
    process.start()
    try:
        asyncio.run(bulk.storage_class(plane.kubeconfig, "whole"))
        began = time.perf_counter()
        asyncio.run(bulk.claims(plane.kubeconfig, "bench", "whole", 100))
        wait_for(
            lambda: asyncio.run(bulk.bound(plane.kubeconfig, "bench", "whole")) == 100, "100 claims to be Bound", 120
        )
        print(f"100 claims created and Bound by the controller manager: {100 / (time.perf_counter() - began):.1f}/s")
    finally:
        process.stop()


def operations(ceph: Ceph) -> int:
    """How many the OSD has served."""
    counters = json.loads(ceph.ceph("daemon", str(ceph.state / "osd.0.asok"), "perf", "dump", "osd"))
    return int(counters["osd"]["op"])


if __name__ == "__main__":
    main()
