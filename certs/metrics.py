"""Metrics of serving certificates."""

from prometheus_client import Counter, Gauge

from sutler.metrics import REGISTRY

EXPIRY = Gauge(
    "sutler_certificate_expiry_timestamp_seconds",
    "Time when the serving certificate expires.",
    registry=REGISTRY,
)
RELOAD_FAILURES = Counter(
    "sutler_certificate_reload_failures_total",
    "Certificates that could not be loaded. The previous one stays in use.",
    registry=REGISTRY,
)
