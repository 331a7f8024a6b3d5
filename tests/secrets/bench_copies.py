"""Copies at scale on a real API server: how many writes, how fast, how much memory. Run it as a script.

Every request is counted and timed by the API server itself, in its audit log. The rotation is compared with a bare loop
that sends the same patches to as many Secrets of the same size, as many of them under way at a time, in the same run.
"""

import argparse
import asyncio
import datetime as dt
import json
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sutler.kube.client import Client, connect
from sutler.kube.resources import NAMESPACES, REGISTRY_MAPPINGS, SECRETS
from sutler.typedefs import Json
from tests.cluster import ControlPlane, Place, SutlerProcess
from tests.secrets import objects
from tests.secrets.objects import OWN, auth, config

MANIFESTS = Path(__file__).parents[2] / "manifests"
SELECTED = {"bench": "true"}
RATE_WANTED = 0.7
MEMORY_WANTED = 256 << 20
PATIENCE = 900.0


@dataclass
class Report:
    lines: list[tuple[str, str, bool]] = field(default_factory=list)

    def say(self, what: str, value: str, *, good: bool = True) -> None:
        self.lines.append((what, value, good))
        print(f"  {what:<58} {value}{'' if good else '   <-- not as it should be'}", flush=True)

    @property
    def good(self) -> bool:
        return all(good for _, _, good in self.lines)


@dataclass(frozen=True)
class Given:
    """The command line."""

    namespaces: int
    mappings: int
    workers: int
    quiet: float


class Audit:
    """What was asked of the API server, as it wrote it down itself."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._log = control_plane.audit_log
        self._at = 0

    def entries(self) -> Iterator[Json]:
        """Since the last look, the renewals of the lease left out."""
        with self._log.open("rb") as log:
            log.seek(self._at)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                entry = json.loads(line)
                if entry["objectRef"]["resource"] != "leases":
                    yield entry

    def counts(self) -> Counter[str]:
        """The controller's, by verb, resource and answer."""
        return Counter(request(entry) for entry in self.entries() if by_controller(entry))


def by_controller(entry: Json) -> bool:
    name: str = entry["user"]["username"]
    return name.endswith(":sutler-secrets")


def request(entry: Json) -> str:
    about = entry["objectRef"]
    what = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    return f"{entry['verb']} {what} {entry['responseStatus']['code']}"


def moment(entry: Json) -> float:
    """When its answer was complete."""
    return dt.datetime.fromisoformat(entry["stageTimestamp"]).timestamp()


def render_counts(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(counts.items())) or "none"


def memory(pid: int) -> tuple[int, int]:
    """Resident bytes now, and the most there ever were."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmRSS"].split()[0]) << 10, int(fields["VmHWM"].split()[0]) << 10


async def each(work: Iterable[Awaitable[Any]], at_a_time: int) -> None:
    """All of them, so many under way at a time."""
    waiting = iter(list(work))

    async def worker() -> None:
        for one in waiting:
            await one

    await asyncio.gather(*(worker() for _ in range(at_a_time)))


class Bench:
    def __init__(self, client: Client, audit: Audit, process: SutlerProcess, given: Given) -> None:
        self.client = client
        self.audit = audit
        self.process = process
        self.given = given
        self.report = Report()

    @property
    def copies(self) -> int:
        return self.given.namespaces * self.given.mappings

    async def run(self) -> bool:
        await self.prepare()
        await self.first_copies()
        await self.quiet()
        await self.restart()
        await self.rotation()
        await self.new_namespace_in_the_middle()
        await self.removal()
        return self.report.good

    async def prepare(self) -> None:
        print(f"{self.given.namespaces} namespaces, {self.given.mappings} mappings, {self.given.workers} workers")
        await each((self.client.create(NAMESPACES, namespace(name)) for name in self.names()), 16)
        for number in range(self.given.mappings):
            source = objects.secret(f"source-{number}", credentials(number, "first"))
            await self.client.create(SECRETS, source, OWN)

    async def first_copies(self) -> None:
        began = time.monotonic()
        self.process.start()
        self.audit.counts()
        for number in range(self.given.mappings):
            await self.client.create(REGISTRY_MAPPINGS, mapping(number))
        await self.until(self.all_synced, "all copies to be made")
        took = time.monotonic() - began
        counts = self.audit.counts()
        written = {what: number for what, number in counts.items() if " secrets " in what}
        self.report.say("first copies", f"{self.copies / took:.0f}/s, {took:.1f} s")
        self.report.say("their requests", render_counts(counts), good=written == {"create secrets 201": self.copies})
        self.say_memory("memory after the first copies")

    async def quiet(self) -> None:
        await asyncio.sleep(2)  # the last events
        self.audit.counts()
        await asyncio.sleep(self.given.quiet)
        counts = self.audit.counts()
        self.report.say(
            f"requests while nothing changes, {self.given.quiet:g} s", render_counts(counts), good=not counts
        )

    async def restart(self) -> None:
        began = time.monotonic()
        self.process.restart(timeout=120)
        self.report.say("killed, started, ready again after", f"{time.monotonic() - began:.1f} s")
        await self.until(self.leading, "the lease")
        await asyncio.sleep(self.given.quiet)
        counts = self.audit.counts()
        self.report.say("requests after a restart where all is well", render_counts(counts), good=not counts)
        self.say_memory("memory after a restart, all listed")

    async def rotation(self) -> None:
        """The bare loop and the controller in turns, so that other work of the machine affects both."""
        made = (objects.secret("bare", credentials(0, "first"), namespace=name) for name in self.names())
        await each((self.client.create(SECRETS, one) for one in made), 16)
        bare, ours = [], []
        for turn in range(5):
            bare.append(await self.bare_loop(f"turn-{turn}"))
            ours.append(await self.rotate(f"turn-{turn}"))
        ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, bare, strict=True))
        self.report.say("bare loop of the same patches", ", ".join(f"{rate:.0f}/s" for rate in bare))
        self.report.say("rotation of one mapping's copies", ", ".join(f"{rate:.0f}/s" for rate in ours))
        self.report.say("the median of the ratios", f"{ratio:.2f} of the bare loop", good=ratio >= RATE_WANTED)

    async def bare_loop(self, password: str) -> float:
        """Patches a second."""
        patch: list[Json] = [{"op": "add", "path": "/data", "value": credentials(0, password)}]
        began = time.monotonic()
        patches = (self.client.json_patch(SECRETS, "bare", patch, name) for name in self.names())
        await each(patches, self.given.workers)
        return self.given.namespaces / (time.monotonic() - began)

    async def rotate(self, password: str) -> float:
        """Copies a second, from the change of the source to the answer to the last patch."""
        self.audit.counts()
        await self.put_source(0, password)
        seen: list[Json] = []

        async def done() -> bool:
            seen.extend(entry for entry in self.audit.entries() if entry["verb"] == "patch")
            return sum(map(by_controller, seen)) >= self.given.namespaces

        await self.until(done, "the rotation")
        copies = [moment(entry) for entry in seen if by_controller(entry) and request(entry) == "patch secrets 200"]
        source = next(moment(entry) for entry in seen if not by_controller(entry))
        return len(copies) / (max(copies) - source)

    def names(self) -> list[str]:
        return [f"bench-{number:05}" for number in range(self.given.namespaces)]

    async def put_source(self, number: int, password: str) -> None:
        patch: list[Json] = [{"op": "replace", "path": "/data", "value": credentials(number, password)}]
        await self.client.json_patch(SECRETS, f"source-{number}", patch, OWN)

    async def new_namespace_in_the_middle(self) -> None:
        """While a thousand other copies wait, the new namespace's come first."""
        self.audit.counts()
        await self.put_source(1, "second")
        began = time.monotonic()
        await self.client.create(NAMESPACES, namespace("bench-new"))

        async def filled() -> bool:
            found = await self.client.list(SECRETS, "bench-new", label_selector="app.kubernetes.io/managed-by=sutler")
            return len(found) == self.given.mappings

        await self.until(filled, "the copies of a new namespace")
        took = time.monotonic() - began
        self.report.say("a new namespace amid a rotation has all copies after", f"{took:.2f} s", good=took < 2)
        rotated: Counter[str] = Counter()

        async def over() -> bool:
            rotated.update(self.audit.counts())
            return rotated["patch secrets 200"] >= self.given.namespaces

        await self.until(over, "the end of that rotation")

    async def removal(self) -> None:
        self.audit.counts()
        began = time.monotonic()
        await self.client.delete(REGISTRY_MAPPINGS, "bench-0")

        async def gone() -> bool:
            label = "sutler.dev/mapping=bench-0"
            return not await self.client.list(SECRETS, label_selector=label)

        await self.until(gone, "the copies to go")
        took = time.monotonic() - began
        counts = self.audit.counts()
        written = {what: number for what, number in counts.items() if " secrets " in what}
        expected = {"delete secrets 200": self.given.namespaces + 1}
        self.report.say("removal of one mapping's copies", f"{(self.given.namespaces + 1) / took:.0f}/s")
        self.report.say("its requests", render_counts(counts), good=written == expected)
        self.say_memory("memory at the end")

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not await condition():
            if time.monotonic() > deadline or not self.process.process.alive:
                raise TimeoutError(
                    f"waited in vain for {what}; the controller's log ends:\n{self.process.process.tail()}"
                )
            await asyncio.sleep(0.25)

    def say_memory(self, what: str) -> None:
        now, most = memory(self.process.process.pid)
        self.report.say(what, f"{now / 2**20:.0f} MiB, at most {most / 2**20:.0f}", good=most < MEMORY_WANTED)

    async def leading(self) -> bool:
        return self.process.metrics().get('leader_election_master_status{name="sutler-secrets"}') == 1

    async def all_synced(self) -> bool:
        found = await self.client.list(REGISTRY_MAPPINGS)
        ready = [one for one in found if synced(one)]
        return len(ready) == len(found)


def synced(found: Json) -> bool:
    counts = found.get("status", {}).get("namespaces", {})
    return bool(counts) and counts["selected"] == counts.get("synced")


def namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": SELECTED}}


def mapping(number: int) -> Json:
    body = objects.mapping(
        f"bench-{number}",
        copy_from=f"source-{number}",
        registries=(f"registry-{number}.example.com",),
        selector={"matchLabels": SELECTED},
    )
    body["metadata"] = {"name": f"bench-{number}"}
    return body


def credentials(number: int, password: str) -> dict[str, str]:
    return config(**{f"registry-{number}__example__com": auth("bench", password.ljust(24, "x"))})


@asynccontextmanager
async def bench(given: Given) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="bench-copies-") as folder, Place.host() as place:
        control_plane = ControlPlane(Path(folder) / "kubernetes", place)
        control_plane.start()
        try:
            for part in ("crds", "base/namespace.yaml", "base/secrets-rbac.yaml"):
                control_plane.kubectl("apply", "-f", str(MANIFESTS / part))
            account = control_plane.kubeconfig_for(OWN, "sutler-secrets")
            argv = ["provisioner", "secrets", "--namespace", OWN, "--workers", str(given.workers)]
            process = SutlerProcess(argv, account, place, Path(folder))
            try:
                async with connect(str(control_plane.kubeconfig), component="bench") as client:
                    yield Bench(client, Audit(control_plane), process, given)
            finally:
                process.stop()
        finally:
            control_plane.stop()


async def main(given: Given) -> int:
    async with bench(given) as prepared:
        return 0 if await prepared.run() else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespaces", type=int, default=1000)
    parser.add_argument("--mappings", type=int, default=20)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--quiet", type=float, default=10.0, help="seconds to listen when nothing should happen")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left behind by that either
    sys.exit(asyncio.run(main(Given(**vars(parser.parse_args())))))
