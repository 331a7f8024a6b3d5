"""Copies on demand beside eager ones, on one API server: writes an hour, memory, bytes in etcd. Run it as a script.

The passwords are those of clouds, which live for an hour and are refreshed at half of their life: each source changes
twice an hour. Each namespace has a Pod that waits for its images and names a few of the pull secrets.
"""

import argparse
import asyncio
import base64
import itertools
import json
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sutler.kube.client import Client, connect
from sutler.kube.errors import Forbidden
from sutler.kube.resources import NAMESPACES, PODS, REGISTRY_MAPPINGS, SECRETS
from sutler.registry.mapping import CopyPolicy
from sutler.typedefs import Json
from tests.cluster import ControlPlane, Place, SutlerProcess, probe
from tests.secrets import bench_copies, objects
from tests.secrets.bench_copies import MANIFESTS, PATIENCE, Audit, Report, each, memory
from tests.secrets.objects import OWN

REFRESHES_AN_HOUR = 2
_PAGE = 500
_passwords = itertools.count()


@dataclass(frozen=True)
class Scale:
    """The command line."""

    namespaces: int
    mappings: int
    named: int
    workers: int


@dataclass(frozen=True)
class Cost:
    copies: int
    writes: int
    """For one refresh of each token."""
    resident: int
    """Bytes."""
    stored: int
    """Bytes of the copies in etcd."""


class Comparison:
    def __init__(self, client: Client, control_plane: ControlPlane, process: SutlerProcess, scale: Scale) -> None:
        self.client = client
        self.control_plane = control_plane
        self.audit = Audit(control_plane)
        self.process = process
        self.scale = scale
        self.report = Report()

    async def run(self) -> bool:
        await self.prepare()
        self.process.start()
        on_demand = await self.measure(CopyPolicy.ON_DEMAND, self.scale.namespaces * self.scale.named)
        for number in range(self.scale.mappings):
            await self.client.merge_patch(REGISTRY_MAPPINGS, f"bench-{number}", copied(CopyPolicy.EAGER))
        eager = await self.measure(CopyPolicy.EAGER, self.scale.namespaces * self.scale.mappings)
        share, expected = on_demand.writes / eager.writes, self.scale.named / self.scale.mappings
        self.report.say("writes on demand beside eager", f"{share:.3f}", good=share <= 1.1 * expected)
        self.report.say("bytes in etcd on demand beside eager", f"{on_demand.stored / eager.stored:.3f}")
        self.report.say("memory on demand beside eager", f"{on_demand.resident / eager.resident:.3f}")
        return self.report.good

    async def prepare(self) -> None:
        print(f"{self.scale.namespaces} namespaces, {self.scale.mappings} mappings, {self.scale.named} named by a Pod")
        names = [f"bench-{number:05}" for number in range(self.scale.namespaces)]
        await each((self.client.create(NAMESPACES, bench_copies.namespace(name)) for name in names), 16)
        for number in range(self.scale.mappings):
            source = objects.secret(f"source-{number}", bench_copies.credentials(number, "first"))
            await self.client.create(SECRETS, source, OWN)
            mapping = bench_copies.mapping(number)
            mapping["spec"]["pullSecret"] |= copied(CopyPolicy.ON_DEMAND)["spec"]["pullSecret"]
            await self.client.create(REGISTRY_MAPPINGS, mapping)
        await each((self.create_pod(number, name) for number, name in enumerate(names)), 16)

    async def create_pod(self, number: int, namespace: str) -> None:
        """No node runs it. Which Secrets it names depends on its number: all are named as often."""
        secrets = [f"bench-{(number + offset) % self.scale.mappings}" for offset in range(self.scale.named)]
        spec = {
            "containers": [{"name": "app", "image": "registry-0.example.com/app"}],
            "imagePullSecrets": [{"name": secret} for secret in secrets],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "waits", "namespace": namespace}, "spec": spec}
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                await self.client.create(PODS, pod)
            except Forbidden:  # the namespace has no default ServiceAccount yet
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                return

    async def measure(self, policy: CopyPolicy, expected: int) -> Cost:
        began = time.monotonic()
        await self.until(lambda: self.has_copies(expected), f"{expected} copies")
        took = time.monotonic() - began
        resident, _ = memory(self.process.process.pid)
        cost = Cost(expected, await self.refresh_all(expected), resident, stored_bytes(self.control_plane))
        self.report.say(f"{policy}: copies", f"{cost.copies}, the last after {took:.1f} s")
        hourly = cost.writes * REFRESHES_AN_HOUR
        self.report.say(f"{policy}: writes of copies", f"{hourly} an hour, {hourly / 3600:.2f} a second")
        self.report.say(f"{policy}: memory of the controller", f"{cost.resident / 2**20:.0f} MiB")
        self.report.say(f"{policy}: copies in etcd", f"{cost.stored / 2**20:.1f} MiB")
        return cost

    async def has_copies(self, expected: int) -> bool:
        found = await self.client.list(REGISTRY_MAPPINGS)
        synced: int = sum(one.get("status", {}).get("namespaces", {}).get("synced", 0) for one in found)
        return synced == expected

    async def refresh_all(self, expected: int) -> int:
        """The requests by which the copies follow their sources."""
        self.audit.counts()
        password = f"refreshed-{next(_passwords)}"
        for number in range(self.scale.mappings):
            data = bench_copies.credentials(number, password)
            patch: list[Json] = [{"op": "replace", "path": "/data", "value": data}]
            await self.client.json_patch(SECRETS, f"source-{number}", patch, OWN)
        writes = 0

        async def done() -> bool:
            nonlocal writes
            counts = self.audit.counts()
            writes += sum(number for what, number in counts.items() if " secrets " in what)
            return writes >= expected

        await self.until(done, "the copies to follow")
        await asyncio.sleep(2)  # a write too many would come now
        await done()
        return writes

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not await condition():
            if time.monotonic() > deadline or not self.process.process.alive:
                raise TimeoutError(f"no sight of {what}; the controller's log ends:\n{self.process.process.tail()}")
            await asyncio.sleep(0.5)


def copied(policy: CopyPolicy) -> Json:
    return {"spec": {"pullSecret": {"copies": str(policy)}}}


def stored_bytes(control_plane: ControlPlane) -> int:
    """Keys and values of all copies in etcd, in their newest version."""
    total, start = 0, b"/registry/secrets/bench-"
    while True:
        page = etcd_range(control_plane, start, b"/registry/secrets/bench.")
        total += sum(len(base64.b64decode(one["key"])) + len(base64.b64decode(one["value"])) for one in page)
        if len(page) < _PAGE:
            return total
        start = base64.b64decode(page[-1]["key"]) + b"\0"


def etcd_range(control_plane: ControlPlane, start: bytes, end: bytes) -> list[Json]:
    asked = {"key": base64.b64encode(start).decode(), "range_end": base64.b64encode(end).decode(), "limit": _PAGE}
    url = f"{control_plane.etcd_url}/v3/kv/range"
    request = urllib.request.Request(url, json.dumps(asked).encode())  # noqa: S310 - the test's own etcd
    status, text = probe.call(request, None, timeout=60)
    assert status == 200, text
    found: list[Json] = json.loads(text).get("kvs", [])
    return found


@asynccontextmanager
async def comparison(scale: Scale) -> AsyncIterator[Comparison]:
    with tempfile.TemporaryDirectory(prefix="bench-on-demand-") as folder, Place.host() as place:
        control_plane = ControlPlane(Path(folder) / "kubernetes", place)
        control_plane.start()
        try:
            rights = ("base/namespace.yaml", "base/secrets-rbac.yaml", "components/copies-on-demand/rbac.yaml")
            for part in ("crds", *rights):
                control_plane.kubectl("apply", "-f", str(MANIFESTS / part))
            account = control_plane.kubeconfig_for(OWN, "sutler-secrets")
            argv = ["provisioner", "secrets", "--namespace", OWN, "--workers", str(scale.workers)]
            process = SutlerProcess(argv, account, place, Path(folder))
            try:
                async with connect(str(control_plane.kubeconfig), component="bench") as client:
                    yield Comparison(client, control_plane, process, scale)
            finally:
                process.stop()
        finally:
            control_plane.stop()


async def main(scale: Scale) -> int:
    async with comparison(scale) as prepared:
        return 0 if await prepared.run() else 1


def _arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespaces", type=int, default=1000)
    parser.add_argument("--mappings", type=int, default=20)
    parser.add_argument("--named", type=int, default=2, help="pull secrets that the Pod of a namespace names")
    parser.add_argument("--workers", type=int, default=8)
    return vars(parser.parse_args())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left behind by that either
    sys.exit(asyncio.run(main(Scale(**_arguments()))))
