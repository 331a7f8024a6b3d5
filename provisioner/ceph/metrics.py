from provisioner.ceph.errors import CephUnavailable, InvalidArgument
from sutler.metrics import histogram

_DURATION = histogram(
    "sutler_ceph_operation_duration_seconds",
    "Duration of calls to Ceph, including the wait for a free thread.",
    ["operation", "result"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
)


# Dashboards and alerts know these values of the label `result`; the others are the names of the errors.
_RESULTS: dict[type[BaseException], str] = {CephUnavailable: "Unavailable", InvalidArgument: "BadRequest"}


def result_of(error: BaseException) -> str:
    """The value of the label `result` for a call that ended with `error`."""
    return _RESULTS.get(type(error), type(error).__name__)


def record_operation(operation: str, result: str, seconds: float) -> None:
    _DURATION.labels(operation, result).observe(seconds)
