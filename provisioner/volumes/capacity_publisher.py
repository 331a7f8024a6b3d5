"""Measures the capacity of the pools, and publishes it as metrics and as CSIStorageCapacity objects."""

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
"""Versions of CSIStorageCapacity: since 1.24, since 1.21, and before that behind a feature gate."""
FRESH_SECONDS = 5.0
"""Seconds for which a measurement serves the events on claims: a thousand claims may find a pool full at once."""

PoolKey = tuple[str, str]
"""Cluster and pool: RADOS namespaces share the capacity of their pool."""


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
        """`namespace`: of the CSIStorageCapacity objects; `interval`: seconds between two measurements."""
        self._client = client
        self._clusters = clusters
        self._classes = classes
        self._namespace = namespace
        self._interval = interval
        self._measured: dict[PoolKey, tuple[float, PoolSpace]] = {}
        """The last measurement of each pool, after its monotonic time."""

    async def run(self) -> None:
        """Works until it is cancelled."""
        try:
            while True:
                spaces = await self._measure()
                try:
                    await self._publish(spaces)
                except KubeError as error:
                    # The next measurement publishes them: nothing waits for this one.
                    _log.warning("could not publish capacities", error=str(error))
                await asyncio.sleep(self._interval)
        finally:
            # The next leader publishes these metrics.
            self._drop_except(set())

    async def describe_pools(self, cls: VolumeClass) -> str:
        """Returns how full the pools of the class are; empty if Ceph does not answer."""
        parts = []
        for pool in dict.fromkeys(filter(None, (cls.pool, cls.data_pool))):
            with contextlib.suppress(CephError):
                parts.append(capacity.describe_space(pool, await self._space(cls.cluster, pool, max_age=FRESH_SECONDS)))
        return "; ".join(parts)

    def _served(self) -> list[VolumeClass]:
        return [cached.parsed for cached in self._classes.values() if cached.parsed is not None]

    async def _measure(self) -> dict[PoolKey, PoolSpace]:
        pools = {(cls.cluster, pool) for cls in self._served() for pool in (cls.pool, cls.data_pool) if pool}
        self._drop_except(pools)
        spaces = {}
        for cluster, pool in sorted(pools):
            try:
                space = await self._space(cluster, pool, max_age=0)
            except CephError as error:
                _log.warning("could not measure pool", cluster=cluster, pool=pool, error=str(error))
                continue
            spaces[cluster, pool] = space
            metrics.AVAILABLE.labels(cluster, pool).set(space.free)
            metrics.USED.labels(cluster, pool).set(space.used)
            if space.quota is not None:
                metrics.QUOTA.labels(cluster, pool).set(space.quota)
            else:
                metrics.remove_series(metrics.QUOTA, cluster, pool)
        return spaces

    def _drop_except(self, pools: set[PoolKey]) -> None:
        """Drops the measurements and the metrics of all other pools."""
        for pool in self._measured.keys() - pools:
            del self._measured[pool]
            for gauge in (metrics.AVAILABLE, metrics.USED, metrics.QUOTA):
                metrics.remove_series(gauge, *pool)

    async def _space(self, cluster: str, pool: str, *, max_age: float) -> PoolSpace:
        measured, space = self._measured.get((cluster, pool), (0.0, None))
        if space is None or time.monotonic() - measured >= max_age:
            space = await self._clusters.get(cluster).pool(pool).space()
            self._measured[cluster, pool] = (time.monotonic(), space)
        return space

    async def _publish(self, spaces: Mapping[PoolKey, PoolSpace]) -> None:
        found = await self._existing()
        if found is None:
            return
        resource, existing = found
        desired, unknown = {}, set()
        for cls in self._served():
            space = spaces.get((cls.cluster, cls.data_pool or cls.pool))
            name = capacity.capacity_name(cls.name)
            if space is None:
                unknown.add(name)
            else:
                desired[name] = capacity.render_capacity(cls.name, space.free)
        changed, removed = capacity.changes(existing, desired, unknown)
        for body in changed:
            await self._write(resource, body)
        for name in removed:
            with contextlib.suppress(NotFound):
                await self._client.delete(resource, name, self._namespace)

    async def _existing(self) -> tuple[Resource, dict[str, Json]] | None:
        """Returns Sutler's objects by name, after their resource; None if the API server has no such resource."""
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
