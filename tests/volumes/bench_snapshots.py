"""How fast VolumeSnapshotContents get their snapshots, and lose them, next to bare librbd in the same run. A module.

One control plane, one Ceph with a memory store, one `python -m provisioner volumes`. The objects of a round are made by
this program while Sutler is frozen, as the snapshot-controller would make them, so that its speed does not matter. The
bare loop opens the image for each snapshot, with as many threads as Sutler has workers. Rounds of both alternate.
"""

import argparse
import asyncio
import statistics
import time
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rbd

from provisioner.volumes.snapshot_controller import WORKERS
from sutler.kube.client import Client, connect
from sutler.kube.resources import (
    PERSISTENT_VOLUMES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUME_SNAPSHOTS,
    Resource,
)
from sutler.volumes import snapshot_keys
from tests.cluster import SutlerProcess, wait_for
from tests.cluster.snapshots import install_kinds
from tests.volumes import bulk
from tests.volumes.bench_volumes import Bench, metric, operations, running, settled

GIB = 1 << 30
DONE = 'csi_sidecar_operations_seconds_count{{driver_name="rbd.sutler.dev",grpc_status_code="OK",method_name="{}"}}'
CREATE, DELETE = (DONE.format(f"/csi.v1.Controller/{name}Snapshot") for name in ("Create", "Delete"))
STEADY = ["--lease-duration=600", "--renew-deadline=500", "--retry-period=100"]
"""The process is frozen for a while, and leads afterwards."""


@dataclass
class Source:
    claim: str
    volume_handle: str


@dataclass
class Step:
    rate: float
    """Snapshots a second."""
    operations: float
    """Of the OSD, for a snapshot."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--of-one", type=int, default=100, help="snapshots of one image in a round")
    parser.add_argument("--of-each", type=int, default=5, help="snapshots of each of the images in a round")
    chosen = parser.parse_args()
    for bench in running(chosen.images):
        install_kinds(bench.control_plane)
        process = bench.process(*STEADY)
        process.start()
        try:
            sources = asyncio.run(bound_claims(bench, chosen.images))
            librbd = rbd.RBD()
            for number in range(chosen.images):
                librbd.create(bench.ioctx, f"bare-{number}", GIB, old_format=False, features=1)
            bench.control_plane.controller_manager.freeze()
            print(f"medians of {chosen.rounds} rounds; memory before: {memory(process):.0f} MiB")
            measure(bench, process, sources[:1], chosen.of_one, chosen.rounds)
            measure(bench, process, sources, chosen.of_each, chosen.rounds)
        finally:
            process.stop()


async def bound_claims(bench: Bench, count: int) -> list[Source]:
    kubeconfig = bench.control_plane.kubeconfig
    await bulk.storage_class(kubeconfig, "snapped")
    await bulk.claims(kubeconfig, "bench", "snapped", count)
    while await bulk.bound(kubeconfig, "bench", "snapped") < count:  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(2)
    async with connect(str(kubeconfig), component="tests") as client:
        volumes = await client.list(PERSISTENT_VOLUMES)
    return [Source(one["spec"]["claimRef"]["name"], one["spec"]["csi"]["volumeHandle"]) for one in volumes]


def measure(bench: Bench, process: SutlerProcess, sources: list[Source], each: int, rounds: int) -> None:
    count = each * len(sources)
    bare: list[tuple[float, float]] = []
    ours: list[tuple[Step, Step]] = []
    calls = 0.0
    for number in range(rounds + 1):
        one, two = bare_round(bench, len(sources), each), our_round(bench, process, sources, each)
        if number == 0:
            # The first round only warms up: connections, caches, code that has not run yet.
            before = settled(process)
            continue
        bare.append(one)
        ours.append(two)
    calls = (settled(process) - before) / rounds / count
    for place, what in enumerate(("created", "deleted")):
        rate = statistics.median(two[place].rate for two in ours)
        plain = statistics.median(one[place] for one in bare)
        cost = f"{ours[-1][place].operations:.1f} OSD operations"
        print(
            f"{count} snapshots of {len(sources)} images {what}: {rate:.0f}/s, bare {plain:.0f}/s, ratio "
            f"{rate / plain:.2f}; {cost}",
            flush=True,
        )
    print(f"  {calls:.1f} API calls for a snapshot's whole life; memory {memory(process):.0f} MiB", flush=True)


def memory(process: SutlerProcess) -> float:
    return metric(process, "process_resident_memory_bytes") / 2**20


def bare_round(bench: Bench, images: int, each: int) -> tuple[float, float]:
    names = [(f"bare-{image}", f"snapshot-{number}") for number in range(each) for image in range(images)]

    def create(name: tuple[str, str]) -> None:
        with rbd.Image(bench.ioctx, name[0]) as image:
            image.create_snap(name[1])

    def remove(name: tuple[str, str]) -> None:
        with rbd.Image(bench.ioctx, name[0]) as image:
            image.remove_snap(name[1])

    return rate_of(create, names), rate_of(remove, names)


def rate_of(work: Callable[[tuple[str, str]], None], names: list[tuple[str, str]]) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, names))
    return len(names) / (time.perf_counter() - began)


def our_round(bench: Bench, process: SutlerProcess, sources: list[Source], each: int) -> tuple[Step, Step]:
    kubeconfig, count = bench.control_plane.kubeconfig, each * len(sources)
    names = {f"s{uuid.uuid4()}": source for _ in range(each) for source in sources}
    created = step(
        bench, process, CREATE, count,
        lambda: asyncio.run(make_objects(kubeconfig, names)),
        lambda: asyncio.run(ready(kubeconfig)) == count,
    )  # fmt: skip
    deleted = step(
        bench, process, DELETE, count,
        lambda: asyncio.run(delete_objects(kubeconfig, list(names))),
        lambda: asyncio.run(left(kubeconfig)) == 0,
    )  # fmt: skip
    return created, deleted


def step(
    bench: Bench, process: SutlerProcess, name: str, count: int, prepare: Callable[[], None], ended: Callable[[], bool]
) -> Step:
    before = metric(process, name)
    process.process.freeze()
    try:
        prepare()
        served = operations(bench.ceph)
        began = time.perf_counter()
    finally:
        process.process.resume()
    while metric(process, name) < before + count:
        time.sleep(0.1)
    wait_for(ended, "the objects to show it")
    taken = time.perf_counter() - began
    return Step(count / taken, (operations(bench.ceph) - served) / count)


async def make_objects(kubeconfig: Path, names: dict[str, Source]) -> None:
    async def make(client: Client, name: str) -> None:
        source = names[name]
        spec: dict[str, Any] = {"source": {"persistentVolumeClaimName": source.claim}}
        made = await client.create(
            VOLUME_SNAPSHOTS, {**_typed(VOLUME_SNAPSHOTS), "metadata": {"name": name}, "spec": spec}, "bench"
        )
        reference = {"namespace": "bench", "name": name, "uid": made["metadata"]["uid"]}
        content = {"driver": "rbd.sutler.dev", "deletionPolicy": "Delete", "volumeSnapshotRef": reference}
        content["source"] = {"volumeHandle": source.volume_handle}
        metadata = {"name": name, "finalizers": [snapshot_keys.CONTENT_FINALIZER]}
        await client.create(
            VOLUME_SNAPSHOT_CONTENTS, {**_typed(VOLUME_SNAPSHOT_CONTENTS), "metadata": metadata, "spec": content}
        )

    await with_each(kubeconfig, list(names), make)


def _typed(resource: Resource) -> dict[str, str]:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


async def delete_objects(kubeconfig: Path, names: list[str]) -> None:
    async def delete(client: Client, name: str) -> None:
        mark = {"metadata": {"annotations": {snapshot_keys.BEING_DELETED: "yes"}}}
        await client.merge_patch(VOLUME_SNAPSHOT_CONTENTS, name, mark)
        await client.delete(VOLUME_SNAPSHOT_CONTENTS, name)
        await client.delete(VOLUME_SNAPSHOTS, name, "bench")

    await with_each(kubeconfig, names, delete)


async def with_each(
    kubeconfig: Path, names: list[str], work: Callable[[Client, str], Coroutine[Any, Any, None]]
) -> None:
    waiting = iter(names)

    async with connect(str(kubeconfig), component="tests") as client, asyncio.TaskGroup() as group:

        async def run() -> None:
            for name in waiting:
                await work(client, name)

        for _ in range(bulk.AT_A_TIME):
            group.create_task(run())


async def ready(kubeconfig: Path) -> int:
    async with connect(str(kubeconfig), component="tests") as client:
        found = await client.list(VOLUME_SNAPSHOT_CONTENTS)
    return sum(bool((one.get("status") or {}).get("readyToUse")) for one in found)


async def left(kubeconfig: Path) -> int:
    async with connect(str(kubeconfig), component="tests") as client:
        return len(await client.list(VOLUME_SNAPSHOT_CONTENTS))


if __name__ == "__main__":
    main()
