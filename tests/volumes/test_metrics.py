"""Gauges of pools with several RADOS namespaces."""

from prometheus_client import CollectorRegistry, Gauge

from provisioner.volumes.metrics import NamespaceSum
from sutler.volumes.locations import PoolLocation


def test_gauge_of_a_pool_is_the_sum_over_its_scanned_namespaces() -> None:
    registry = CollectorRegistry()
    found = NamespaceSum(Gauge("found", "Images", ["cluster", "pool"], registry=registry))
    a, b = PoolLocation("", "rbd", "a"), PoolLocation("", "rbd", "b")

    def value(pool: str = "rbd") -> float | None:
        return registry.get_sample_value("found", {"cluster": "", "pool": pool})

    found.record(a, 2)
    found.record(b, 0)
    found.record(PoolLocation("", "other", ""), 1)
    assert (value(), value("other")) == (2, 1)
    found.record(b, 3)
    assert value() == 5
    found.record(a, 0)
    assert value() == 3
    found.retain({a})
    assert (value(), value("other")) == (0, None)
    found.retain(set())
    found.retain(set())
    assert value() is None
