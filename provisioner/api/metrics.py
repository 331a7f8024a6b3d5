from sutler.metrics import counter, histogram

REQUESTS = counter(
    "sutler_api_requests_total",
    "Requests to the REST API. The operation is empty for pages and unknown paths.",
    ["operation", "code"],
)
DURATION = histogram(
    "sutler_api_request_duration_seconds",
    "Time from the request's head to the response, including calls to Ceph.",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
