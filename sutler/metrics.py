"""The one registry that `/metrics` shows: ours, so that no library adds to it behind our back."""

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

REGISTRY = CollectorRegistry()

# CPU, memory and file descriptors: what an operator looks at first.
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
