"""Several webhooks of one cluster behind a balancer, as a Service has them, each a process of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cluster import ControlPlane, Place, SutlerProcess
from tests.cluster.installation import NAMESPACE, Installation

SECRET = "sutler-webhook-certificate"
# The time until the load balancers drop an endpoint.
_ENDPOINT_SECONDS = 1.0
# On a machine that does much else.
_READY_SECONDS = 120


class Balancer:
    """Spreads connections over the ports in `endpoints`, one after the other. What is connected stays connected."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.endpoints: list[int] = []
        self._next = 0
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            self._next += 1
            endpoint = self.endpoints[self._next % len(self.endpoints)]
            theirs, to_them = await asyncio.open_connection("127.0.0.1", endpoint)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass_on(reader, to_them))
                group.create_task(_pass_on(theirs, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


class Replicas:
    """Started one by one, and replaced as a Deployment with maxSurge 1 and maxUnavailable 0 does it."""

    def __init__(self, control_plane: ControlPlane, place: Place, state: Path) -> None:
        self.control_plane = control_plane
        self.place = place
        self.balancer = Balancer(place.port())
        self.running: list[SutlerProcess] = []
        self._state = state
        self._installation = Installation(control_plane, None, place, state)
        self._kubeconfig: Path | None = None

    def apply(self) -> None:
        """The manifests, with the balancer's URL instead of the Service's."""
        self._installation.apply()
        self._kubeconfig = self.control_plane.kubeconfig_for(NAMESPACE, "sutler-webhook")

    def register(self) -> None:
        """Have the API server call the balancer."""
        process = self._installation.run("webhook", "--certificate-interval", "0.5")
        process.stop()
        url = f"https://127.0.0.1:{self.balancer.port}/mutate"
        changes = [{"op": "replace", "path": f"/webhooks/{n}/clientConfig/url", "value": url} for n in range(2)]
        self.control_plane.kubectl(
            "patch", "mutatingwebhookconfiguration", "sutler-webhook", "--type=json", "-p", json.dumps(changes)
        )

    def map(self, name: str, registry: str) -> None:
        """A mapping of every namespace."""
        mapping = {
            "apiVersion": "sutler.dev/v1alpha1",
            "kind": "RegistryMapping",
            "metadata": {"name": name},
            "spec": {"registries": [registry], "pullSecret": {"name": f"{name}-secret"}, "namespaceSelector": {}},
        }
        self.control_plane.kubectl("apply", "-f", "-", input=json.dumps(mapping))

    def launch(self, *flags: str) -> SutlerProcess:
        """Start one more without waiting."""
        assert self._kubeconfig is not None, "apply() comes first"
        folder = self._state / "replicas"
        folder.mkdir(parents=True, exist_ok=True)
        arguments = ["webhook", "--quiet-seconds", "3", "--certificate-interval", "0.5", *flags]
        process = SutlerProcess(arguments, kubeconfig=self._kubeconfig, place=self.place, state=folder)
        process.launch()
        self.running.append(process)
        return process

    async def add(self, *flags: str) -> SutlerProcess:
        process = await asyncio.to_thread(self.launch, *flags)
        await asyncio.to_thread(process.wait_ready, _READY_SECONDS)
        self.balancer.endpoints.append(port_of(process))
        return process

    async def replace(self, old: SutlerProcess) -> int:
        """A new one, then the old one goes. Returns the old one's exit status."""
        await self.add()
        stopping = asyncio.create_task(asyncio.to_thread(old.process.stop, 60))
        await asyncio.sleep(_ENDPOINT_SECONDS)
        self.balancer.endpoints.remove(port_of(old))
        self.running.remove(old)
        return await stopping

    def end_all(self) -> None:
        for process in self.running:
            process.process.stop(grace=0)
        self.running.clear()
        self.balancer.endpoints.clear()

    def stop(self) -> None:
        self.end_all()
        self._installation.stop()
        kubectl = self.control_plane.kubectl
        kubectl("delete", "registrymappings", "--all")
        kubectl("delete", "secret", SECRET, "-n", NAMESPACE, "--ignore-not-found")


def port_of(process: SutlerProcess) -> int:
    return int(process.url.rpartition(":")[2])
