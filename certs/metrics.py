"""Metrics of serving certificates."""

from sutler.metrics import counter, gauge

EXPIRY = gauge("sutler_certificate_expiry_timestamp_seconds", "Time when the serving certificate expires.")
RELOAD_FAILURES = counter(
    "sutler_certificate_reload_failures_total", "Certificates that could not be loaded. The previous one stays in use."
)
