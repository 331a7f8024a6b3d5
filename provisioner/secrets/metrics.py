"""Metrics of the secrets controller."""

from prometheus_client import Counter

from sutler.metrics import REGISTRY

COPY_WRITES = Counter(
    "sutler_secret_copy_writes_total",
    "Writes of copies, by operation.",
    ["operation"],
    registry=REGISTRY,
)
