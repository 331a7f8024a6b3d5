"""Three replicas, one after the other replaced, while requests come at a steady rate. None may fail.

Twice: with clients of our own, which count every connection that is closed under a request, and with the API server,
which calls through the same balancer: each Pod that it creates has to have its pull secret.
"""

import asyncio
import json
from collections import Counter
from time import perf_counter

import aiohttp
import yaml

from tests.cluster import ControlPlane
from tests.webhook.clients import Pool, Report, trusting_anybody
from tests.webhook.pods import body, pod
from tests.webhook.replicas import Replicas

IMAGE = "quay.io/acme/app:1"
_SETTLE_SECONDS = 1.0


async def rolling(replicas: Replicas, *, rate: float, replaced: int) -> Report:
    """Replace so many of the running replicas under load, and answer what became of the requests."""
    report, context = Report(), trusting_anybody()
    pool = Pool(replicas.balancer.port, lambda: context, report)
    load = asyncio.create_task(pool.at_rate([body(pod(IMAGE))], rate, 3600))
    try:
        await asyncio.sleep(_SETTLE_SECONDS)
        for old in replicas.running[:replaced]:
            status = await replicas.replace(old)
            assert status == 0, f"a replica that got SIGTERM ended with status {status}"
        await asyncio.sleep(_SETTLE_SECONDS)
    finally:
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        pool.close()
    return report


async def rolling_by_api_server(
    replicas: Replicas, control_plane: ControlPlane, namespace: str, *, creators: int, replaced: int
) -> Counter[str]:
    """The same, by so many clients of the API server that create Pods, without keeping them, as fast as it goes."""
    found: Counter[str] = Counter()
    stop = asyncio.Event()
    async with creating(control_plane) as session:
        url = f"{control_plane.url}/api/v1/namespaces/{namespace}/pods?dryRun=All"
        tasks = [asyncio.create_task(_create(session, url, found, stop)) for _ in range(creators)]
        begin = perf_counter()
        await asyncio.sleep(_SETTLE_SECONDS)
        for old in replicas.running[:replaced]:
            assert await replicas.replace(old) == 0
        await asyncio.sleep(_SETTLE_SECONDS)
        stop.set()
        await asyncio.gather(*tasks)
    found["a second"] = int(sum(found.values()) / (perf_counter() - begin))
    return found


def creating(control_plane: ControlPlane) -> aiohttp.ClientSession:
    """A session with the administrator's rights."""
    token = yaml.safe_load(control_plane.kubeconfig.read_text())["users"][0]["user"]["token"]
    connector = aiohttp.TCPConnector(ssl=trusting_anybody())
    return aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {token}"})


async def _create(session: aiohttp.ClientSession, url: str, found: Counter[str], stop: asyncio.Event) -> None:
    manifest = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "app-"},
            "spec": {"containers": [{"name": "app", "image": IMAGE}], "automountServiceAccountToken": False},
        }
    )
    while not stop.is_set():
        async with session.post(url, data=manifest, headers={"Content-Type": "application/json"}) as response:
            said = await response.json()
        secrets = (said.get("spec") or {}).get("imagePullSecrets")
        if response.status == 201:
            found["with its pull secret" if secrets == [{"name": "quay-secret"}] else "without it"] += 1
        else:
            found[f"not created, {response.status}"] += 1
