"""Metrics of admission.

They are plain numbers, converted when /metrics is read: the client library's own counters take a lock each time, which
was a good part of a response's cost.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sutler.metrics import REGISTRY

_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 3.0)
BAD_REQUEST, OVERLOADED, NOT_READY, ERROR = "bad_request", "overloaded", "not_ready", "error"
"""Outcomes of requests that were not decided, besides those of AdmissionOutcome."""


class AdmissionMetrics(Collector):
    """Written and read by the event loop alone."""

    def __init__(self, outcomes: Iterable[str]) -> None:
        self._outcomes = Counter(dict.fromkeys(outcomes, 0))
        self._matches: Counter[str] = Counter()
        self._durations = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0
        self.usable = 0
        """Mappings that can be used."""
        self.unusable = 0
        """Mappings that can't."""

    def record(self, outcome: str, seconds: float, mappings: tuple[str, ...] = ()) -> None:
        """Count one request, the time that it took, and the mappings that matched."""
        self._outcomes[outcome] += 1
        self._durations[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds += seconds
        for mapping in mappings:
            self._matches[mapping] += 1

    def remove_series(self, mapping: str) -> None:
        """Drop the series of a mapping that was deleted."""
        self._matches.pop(mapping, None)

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "sutler_admission_requests",
            "AdmissionReviews by outcome. Those with bad_request, overloaded, not_ready or error were not decided.",
            labels=["outcome"],
        )
        for outcome, count in self._outcomes.items():
            requests.add_metric([outcome], count)
        yield requests
        yield HistogramMetricFamily(
            "sutler_admission_duration_seconds",
            "Time from a request's head to its response, including the time to receive the body.",
            buckets=list(self._buckets()),
            sum_value=self._seconds,
        )
        matches = CounterMetricFamily(
            "sutler_mapping_matches", "Pods with an image that the mapping matches.", labels=["mapping"]
        )
        for mapping, count in self._matches.items():
            matches.add_metric([mapping], count)
        yield matches
        help_text = "RegistryMappings, by whether Sutler can use them."
        mappings = GaugeMetricFamily("sutler_mappings", help_text, labels=["usable"])
        mappings.add_metric(["true"], self.usable)
        mappings.add_metric(["false"], self.unusable)
        yield mappings

    def _buckets(self) -> Iterator[tuple[str, float]]:
        total = 0
        for bound, count in zip((*map(str, _BOUNDS), "+Inf"), self._durations, strict=True):
            total += count
            yield bound, total


def register(outcomes: Iterable[str]) -> AdmissionMetrics:
    admission = AdmissionMetrics((*outcomes, BAD_REQUEST, OVERLOADED, NOT_READY, ERROR))
    REGISTRY.register(admission)
    return admission
