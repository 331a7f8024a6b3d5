"""What the tokens process counts."""

from sutler.metrics import counter, gauge, histogram

EXPIRY = gauge(
    "sutler_registry_token_expiry_timestamp_seconds",
    "Time when the token in the Secret of a RegistryToken ends; without a token there is no series.",
    ["token"],
)
READY = gauge("sutler_registry_token_ready", "1 while its Secret holds a good token, else 0.", ["token"])
REFRESHING = gauge(
    "sutler_registry_token_refreshing", "1 if the last attempt to fetch the next token succeeded, else 0.", ["token"]
)
REFRESHES = counter(
    "sutler_registry_token_refreshes_total",
    "Attempts to refresh a token, by result: success, or the reason of the failure.",
    ["provider", "result"],
)
REFRESH_SECONDS = histogram(
    "sutler_registry_token_refresh_duration_seconds",
    "Seconds to fetch a token, including the requests for its identity.",
    ["provider"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
WRITES = counter("sutler_registry_token_secret_writes_total", "Secrets written; the same token writes none.")


def remove_series(token: str) -> None:
    """Of a RegistryToken that is gone."""
    for each in _GAUGES:
        each.remove_by_labels({"token": token})


def remove_all_series() -> None:
    """Of a process that leads no more: what it knew is not true for long."""
    for each in _GAUGES:
        each.clear()


_GAUGES = (EXPIRY, READY, REFRESHING)
