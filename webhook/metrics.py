"""What the webhook counts, served on the second port."""

import contextlib

from prometheus_client import Counter, Gauge, Histogram

from sutler.metrics import REGISTRY
from webhook.decide import Outcome

_REQUESTS = Counter(
    "sutler_admission_requests",
    "AdmissionReviews by what became of them; bad_request, overloaded, not_ready and error were not decided.",
    ["outcome"],
    registry=REGISTRY,
)
BAD_REQUEST, OVERLOADED, NOT_READY, ERROR = (
    _REQUESTS.labels(outcome) for outcome in ("bad_request", "overloaded", "not_ready", "error")
)
DECIDED = {outcome: _REQUESTS.labels(outcome.value) for outcome in Outcome}
"""Made ready: to look a label up costs more than to count."""

DURATION = Histogram(
    "sutler_admission_duration_seconds",
    "From a request's head to its answer, the reading of its body included.",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 3),
    registry=REGISTRY,
)
MATCHES = Counter(
    "sutler_mapping_matches",
    "Pods that had an image for which the mapping is.",
    ["mapping"],
    registry=REGISTRY,
)
MAPPINGS = Gauge("sutler_mappings", "RegistryMappings by whether they can be used.", ["usable"], registry=REGISTRY)


def forget_mapping(name: str) -> None:
    """A mapping that is gone is no longer shown."""
    with contextlib.suppress(KeyError):
        MATCHES.remove(name)
