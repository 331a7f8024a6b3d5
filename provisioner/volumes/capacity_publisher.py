"""How much room the pools have: as metrics, as CSIStorageCapacity objects, in the events of claims that find none."""

import asyncio
import contextlib
import time
from collections.abc import Mapping

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.errors import CephError
from provisioner.ceph.model import PoolSpace
from provisioner.volumes import metrics
from provisioner.volumes.cache_entries import CachedClass
from provisioner.volumes.planning import capacity
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, KubeError, NotFound
from sutler.kube.resources import Resource
from sutler.typedefs import Json

_log = log.get(__name__)

_KIND = ("csistoragecapacities", "CSIStorageCapacity")
VERSIONS = ("v1", "v1beta1", "v1alpha1")
"""Since 1.24, since 1.21, and before that where somebody has switched it on."""
FRESH = 5.0
"""Seconds for which what a pool's room was is taken for true: a thousand claims may find it full at once."""

PoolKey = tuple[str, str]
"""Cluster and pool: RADOS namespaces share the room of their pool."""


class CapacityPublisher:
    def __init__(
        self,
        client: Client,
        clusters: CephClusters,
        classes: Mapping[str, CachedClass],
        *,
        namespace: str,
        interval: float,
    ) -> None:
        """`namespace`: where the objects are kept; `interval`: seconds between two measurements."""
        self._client = client
        self._clusters = clusters
        self._classes = classes
        self._namespace = namespace
        self._interval = interval
        self._measured: dict[PoolKey, tuple[float, PoolSpace]] = {}

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            while True:
                spaces = await self._measure()
                try:
                    await self._publish(spaces)
                except KubeError as error:
                    # The next time is soon enough; nothing waits for this one.
                    _log.warning("capacities could not be published", error=str(error))
                await asyncio.sleep(self._interval)
        finally:
            # Whoever leads next tells of them.
            self._keep(set())

    async def why_full(self, cls: VolumeClass) -> str:
        """What the pools of the class hold, in words; empty if that can't be said."""
        words = []
        for pool in dict.fromkeys(filter(None, (cls.pool, cls.data_pool))):
            with contextlib.suppress(CephError):
                words.append(capacity.in_words(pool, await self._space(cls.cluster, pool, fresh=FRESH)))
        return "; ".join(words)

    def _served(self) -> list[VolumeClass]:
        return [view.parsed for view in self._classes.values() if view.parsed is not None]

    async def _measure(self) -> dict[PoolKey, PoolSpace]:
        pools = {(cls.cluster, pool) for cls in self._served() for pool in (cls.pool, cls.data_pool) if pool}
        self._keep(pools)
        spaces = {}
        for cluster, pool in sorted(pools):
            try:
                space = await self._space(cluster, pool, fresh=0)
            except CephError as error:
                _log.warning("pool could not be measured", cluster=cluster, pool=pool, error=str(error))
                continue
            spaces[cluster, pool] = space
            metrics.AVAILABLE.labels(cluster, pool).set(space.free)
            metrics.USED.labels(cluster, pool).set(space.used)
            if space.quota is not None:
                metrics.QUOTA.labels(cluster, pool).set(space.quota)
            else:
                metrics.take_back(metrics.QUOTA, cluster, pool)
        return spaces

    def _keep(self, pools: set[PoolKey]) -> None:
        """Says nothing any more of other pools than these."""
        for pool in self._measured.keys() - pools:
            del self._measured[pool]
            for gauge in (metrics.AVAILABLE, metrics.USED, metrics.QUOTA):
                metrics.take_back(gauge, *pool)

    async def _space(self, cluster: str, pool: str, *, fresh: float) -> PoolSpace:
        measured, space = self._measured.get((cluster, pool), (0.0, None))
        if space is None or time.monotonic() - measured >= fresh:
            space = await self._clusters.get(cluster).pool(pool).space()
            self._measured[cluster, pool] = (time.monotonic(), space)
        return space

    async def _publish(self, spaces: Mapping[PoolKey, PoolSpace]) -> None:
        found = await self._existing()
        if found is None:
            return
        resource, there = found
        wanted, unknown = {}, set()
        for cls in self._served():
            space = spaces.get((cls.cluster, cls.data_pool or cls.pool))
            name = capacity.capacity_name(cls.name)
            if space is None:
                unknown.add(name)
            else:
                wanted[name] = capacity.capacity_of(cls.name, space.free)
        written, gone = capacity.changes(there, wanted, unknown)
        for body in written:
            await self._write(resource, body)
        for name in gone:
            with contextlib.suppress(NotFound):
                await self._client.delete(resource, name, self._namespace)

    async def _existing(self) -> tuple[Resource, dict[str, Json]] | None:
        """Ours, by name; None where the API server does not know such things."""
        selector = ",".join(f"{key}={value}" for key, value in capacity.LABELS.items())
        for version in VERSIONS:
            resource = Resource("storage.k8s.io", version, *_KIND, namespaced=True)
            with contextlib.suppress(NotFound):
                items = await self._client.list(resource, self._namespace, label_selector=selector)
                return resource, {item["metadata"]["name"]: item for item in items}
        return None

    async def _write(self, resource: Resource, body: Json) -> None:
        name = body["metadata"]["name"]
        try:
            await self._client.create(resource, body, self._namespace)
        except AlreadyExists:
            change = {"capacity": body["capacity"]}
            await self._client.merge_patch(resource, name, change, self._namespace)
