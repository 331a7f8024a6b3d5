"""Many objects at once, faster than kubectl and rbd make them."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import rados

from provisioner.ceph import fast_create
from provisioner.ceph.model import ImageSpec
from sutler.kube import config
from sutler.kube.client import Client, connect
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from sutler.kube.transport import Call, Transport
from tests.volumes.volume_env import Json, claim

AT_A_TIME = 16
MIB = 1 << 20


async def storage_class(kubeconfig: Path, name: str, *, journal: bool = False, pool: str = "rbd") -> None:
    parameters = {"pool": pool} | ({"journal": "ceph-csi", "clusterID": "b"} if journal else {})
    body = {"metadata": {"name": name}, "provisioner": "rbd.sutler.dev", "reclaimPolicy": "Retain"}
    async with connect(str(kubeconfig), component="tests") as client:
        await client.create(STORAGE_CLASSES, {"parameters": parameters, **body})


async def claims(kubeconfig: Path, namespace: str, storage_class: str, count: int, size: str = "1Gi") -> None:
    async def make(client: Client, number: int) -> None:
        await client.create(
            PERSISTENT_VOLUME_CLAIMS, claim(f"{storage_class}-{number}", storage_class, size), namespace
        )

    await _each(kubeconfig, count, make)


async def time_of_volumes(kubeconfig: Path, name: str, count: int, *, journal: bool) -> float:
    """Seconds from making the class `name`, whose claims are there already, until they all have volumes."""
    transport = Transport(config.find_source(str(kubeconfig), None), "tests")
    await transport.open()
    try:
        before = await _count(transport)
        began = time.perf_counter()
        await storage_class(kubeconfig, name, journal=journal)
        while await _count(transport) < before + count:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.02)
        return time.perf_counter() - began
    finally:
        await transport.close()


async def _count(transport: Transport) -> int:
    """Of PersistentVolumes: the API server counts the rest of a list without reading it."""
    call = Call("GET", PERSISTENT_VOLUMES.path(), "count volumes", query=[("limit", "1")])
    answer = json.loads(await transport.send(call, 30))
    return len(answer["items"]) + int(answer["metadata"].get("remainingItemCount", 0))


async def bound(kubeconfig: Path, namespace: str, storage_class: str) -> int:
    async with connect(str(kubeconfig), component="tests") as client:
        found = await client.list(PERSISTENT_VOLUME_CLAIMS, namespace)
    of_class = [one for one in found if one["spec"]["storageClassName"] == storage_class]
    return sum(one["status"]["phase"] == "Bound" for one in of_class)


async def volumes(kubeconfig: Path, namespace: str, storage_class: str, count: int, pool: str = "rbd") -> list[str]:
    """Claims with their volumes, as the provisioner leaves them; the names of their images come back."""
    images: list[str] = []

    async def make(client: Client, number: int) -> None:
        name, uid = f"{storage_class}-{number}", str(uuid.uuid4())
        images.append(f"{namespace}-{name}-{uid}")
        body = volume(namespace, name, uid, storage_class, f"{pool}/{images[-1]}")
        await client.create(PERSISTENT_VOLUMES, body)
        with_volume = claim(name, storage_class, "1Gi", volumeName=f"pvc-{uid}")
        await client.create(PERSISTENT_VOLUME_CLAIMS, with_volume, namespace)

    await _each(kubeconfig, count, make)
    return images


def volume(namespace: str, name: str, uid: str, storage_class: str, path: str) -> Json:
    annotations = {
        "pv.kubernetes.io/provisioned-by": "rbd.sutler.dev",
        "sutler.dev/cluster-id": "",
        "sutler.dev/image": path,
        "sutler.dev/deletion-policy": "remove",
    }
    finalizers = ["external-provisioner.volume.kubernetes.io/finalizer"]
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name, "uid": uid}
    return {
        "metadata": {"name": f"pvc-{uid}", "annotations": annotations, "finalizers": finalizers},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": reference,
            "csi": {"driver": "rbd.csi.ceph.com", "volumeHandle": path.rpartition("/")[2]},
        },
    }


def images(ceph: Any, pool: str, names: list[str], metadata: Callable[[str], dict[str, str]] = lambda _: {}) -> None:
    with rados.Rados(conffile=str(ceph.conf)) as cluster, cluster.open_ioctx(pool) as ioctx:

        def make(name: str) -> None:
            spec = ImageSpec(name, MIB, metadata=metadata(name), id=uuid.uuid4().hex[:14])
            fast_create.create(ioctx, spec, name)

        with ThreadPoolExecutor(AT_A_TIME) as threads:
            list(threads.map(make, names))


async def _each(kubeconfig: Path, count: int, make: Callable[[Client, int], Coroutine[Any, Any, None]]) -> None:
    numbers = iter(range(count))

    async with connect(str(kubeconfig), component="tests") as client, asyncio.TaskGroup() as group:

        async def work() -> None:
            for number in numbers:
                await make(client, number)

        for _ in range(AT_A_TIME):
            group.create_task(work())
