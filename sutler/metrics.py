"""The registry that `/metrics` serves. It is not the default one, to which any library may add."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

REGISTRY = CollectorRegistry()
counter = partial(Counter, registry=REGISTRY)
gauge = partial(Gauge, registry=REGISTRY)
histogram = partial(Histogram, registry=REGISTRY)

# CPU, memory and file descriptors.
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
