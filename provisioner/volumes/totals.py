"""Gauges of pools, counted by RADOS namespace."""

from prometheus_client import Gauge

from provisioner.volumes.metrics import take_back

Where = tuple[str, str, str]
"""Cluster, pool, RADOS namespace."""


class Totals:
    """What a gauge of cluster and pool says is the sum over the pool's RADOS namespaces."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._counts: dict[Where, int] = {}

    def count(self, where: Where, count: int) -> None:
        self._counts[where] = count
        self._tell(where)

    def keep(self, places: set[Where]) -> None:
        """Says nothing any more of pools of which none is among these: nobody looks there now."""
        for where in self._counts.keys() - places:
            del self._counts[where]
            self._tell(where)

    def _tell(self, where: Where) -> None:
        pool = where[:2]
        counts = [count for (*other, _), count in self._counts.items() if tuple(other) == pool]
        if counts:
            self._gauge.labels(*pool).set(sum(counts))
        else:
            take_back(self._gauge, *pool)
