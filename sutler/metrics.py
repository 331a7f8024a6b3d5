"""The registry that `/metrics` serves. It is not the default one, to which any library may add."""

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

REGISTRY = CollectorRegistry()

# CPU, memory and file descriptors.
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
