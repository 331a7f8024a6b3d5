"""What the gauges say of pools with several RADOS namespaces."""

from prometheus_client import CollectorRegistry, Gauge

from provisioner.volumes.totals import Totals


def test_pool_is_told_of_with_all_its_namespaces_for_as_long_as_somebody_looks_there() -> None:
    registry = CollectorRegistry()
    totals = Totals(Gauge("found", "Images", ["cluster", "pool"], registry=registry))

    def said(pool: str = "rbd") -> float | None:
        return registry.get_sample_value("found", {"cluster": "", "pool": pool})

    totals.count(("", "rbd", "a"), 2)
    totals.count(("", "rbd", "b"), 0)
    totals.count(("", "other", ""), 1)
    assert (said(), said("other")) == (2, 1)
    totals.count(("", "rbd", "b"), 3)
    assert said() == 5
    totals.count(("", "rbd", "a"), 0)
    assert said() == 3
    totals.keep({("", "rbd", "a")})
    assert (said(), said("other")) == (0, None)
    totals.keep(set())
    totals.keep(set())
    assert said() is None
