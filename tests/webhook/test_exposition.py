"""Several processes' metrics in one text, read back by the library that reads them in earnest."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from webhook.exposition import merged


def exposition(number: int) -> str:
    registry = CollectorRegistry()
    counter = Counter("asked", "How often.", ["outcome"], registry=registry)
    counter.labels('a "quoted" {brace} value').inc(number)
    Gauge("since", "Without labels.", registry=registry).set(number)
    Histogram("took_seconds", "How long.", buckets=(1, 2), registry=registry).observe(number)
    return generate_latest(registry).decode()


def test_merged_metrics_are_those_of_each_worker_under_its_label() -> None:
    text = merged({str(number): exposition(number) for number in (1, 2)}).decode()
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "the samples of a metric stand together"
    found = {(sample.name, sample.labels["worker"]): sample for family in families for sample in family.samples}
    for number in (1, 2):
        assert found["since", str(number)].value == number
        assert found["asked_total", str(number)].value == number
        assert found["asked_total", str(number)].labels["outcome"] == 'a "quoted" {brace} value'
        assert found["took_seconds_count", str(number)].value == 1
    assert text.count("# TYPE since gauge") == 1


def test_worker_that_did_not_answer_is_left_out() -> None:
    assert b'worker="7"' in merged({"7": exposition(1)})
    assert merged({}) == b""
