"""What alerts and the dashboard go by is exported, with the labels that they group by."""

import pytest

from provisioner.tokens import metrics
from sutler.metrics import REGISTRY
from tests.installed import promql
from tests.manifests.promql_expressions import expressions

OF_TOKENS = {where: each for where, each in expressions().items() if "sutler_registry_token" in each}
LABELS = {
    name: set(collector._labelnames)
    for collector in (metrics.EXPIRY, metrics.READY, metrics.REFRESHING, metrics.REFRESHES)
    for name in REGISTRY._collector_to_names[collector]
}


def test_tokens_are_watched() -> None:
    assert len(OF_TOKENS) >= 5


@pytest.mark.parametrize("where", OF_TOKENS)
def test_what_is_watched_of_tokens_is_exported(where: str) -> None:
    labels: set[str] = set()
    for selector in promql.selectors(OF_TOKENS[where]):
        assert selector.metric in LABELS
        labels |= LABELS[selector.metric]
    assert promql.grouped(OF_TOKENS[where]) <= labels
