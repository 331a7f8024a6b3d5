"""Metrics of the adapter, under the names that dashboards for Go controllers already know."""

from prometheus_client import Counter, Gauge, Histogram

from sutler.metrics import REGISTRY

REQUESTS = Counter(
    "rest_client_requests_total",
    "Requests to the API server; code is the HTTP status, or <error> when there was no answer.",
    ["code", "method", "host"],
    registry=REGISTRY,
)

REFLECTOR_LAST_EVENT = Gauge(
    "sutler_reflector_last_event_timestamp_seconds",
    "When the API server last sent anything for this resource, a bookmark included.",
    ["resource"],
    registry=REGISTRY,
)
REFLECTOR_OBJECTS = Gauge("sutler_reflector_objects", "Objects held in memory.", ["resource"], registry=REGISTRY)
REFLECTOR_LISTS = Counter(
    "sutler_reflector_lists_total", "How often everything had to be listed again.", ["resource"], registry=REGISTRY
)

_SECONDS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

QUEUE_DEPTH = Gauge("workqueue_depth", "Keys that wait for a worker.", ["name"], registry=REGISTRY)
QUEUE_ADDS = Counter("workqueue_adds_total", "Keys added, repeats aside.", ["name"], registry=REGISTRY)
QUEUE_RETRIES = Counter("workqueue_retries_total", "Failed tries.", ["name"], registry=REGISTRY)
QUEUE_WAITED = Histogram(
    "workqueue_queue_duration_seconds",
    "How long a key waited for a worker.",
    ["name"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
QUEUE_WORKED = Histogram(
    "workqueue_work_duration_seconds",
    "How long one try took.",
    ["name"],
    buckets=_SECONDS,
    registry=REGISTRY,
)

LEADING = Gauge("leader_election_master_status", "1 while this process leads, else 0.", ["name"], registry=REGISTRY)

EVENTS_DROPPED = Counter(
    "sutler_events_dropped_total", "Events that could not be recorded.", ["component"], registry=REGISTRY
)
