from prometheus_client import Counter, Histogram

from sutler.metrics import REGISTRY

REQUESTS = Counter(
    "sutler_api_requests_total",
    "Requests to the REST API; the operation is empty for pages and for what is nowhere.",
    ["operation", "code"],
    registry=REGISTRY,
)
DURATION = Histogram(
    "sutler_api_request_duration_seconds",
    "From the request's head to the answer, Ceph included",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
    registry=REGISTRY,
)
