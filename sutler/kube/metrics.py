"""Metrics of this package, with the names of client-go's and controller-runtime's where these exist."""

from sutler.metrics import counter, gauge, histogram

REQUESTS = counter(
    "rest_client_requests_total",
    "Requests to the API server. The code is the HTTP status, or <error> without a response.",
    ["code", "method", "host"],
)

REFLECTOR_LAST_EVENT = gauge(
    "sutler_reflector_last_event_timestamp_seconds",
    "Time when the API server last sent data for this resource, including bookmarks.",
    ["resource"],
)
REFLECTOR_OBJECTS = gauge("sutler_reflector_objects", "Objects in the cache.", ["resource"])
REFLECTOR_LISTS = counter("sutler_reflector_lists_total", "Full lists of the resource.", ["resource"])

_SECONDS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

QUEUE_DEPTH = gauge("workqueue_depth", "Keys that wait for a worker.", ["name"])
QUEUE_ADDS = counter("workqueue_adds_total", "Keys added to the queue, without repeated keys.", ["name"])
QUEUE_RETRIES = counter("workqueue_retries_total", "Failed attempts to handle a key.", ["name"])
QUEUE_WAITED = histogram(
    "workqueue_queue_duration_seconds", "Time that a key waited for a worker.", ["name"], buckets=_SECONDS
)
QUEUE_WORKED = histogram(
    "workqueue_work_duration_seconds", "Time that one attempt to handle a key took.", ["name"], buckets=_SECONDS
)

LEADING = gauge("leader_election_master_status", "1 while this process is the leader, else 0.", ["name"])

EVENTS_DROPPED = counter("sutler_events_dropped_total", "Events that could not be recorded.", ["component"])
