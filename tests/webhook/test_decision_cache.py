"""A cached decision is the one that would be made without the cache."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.registry.injection import Account
from tests.webhook.pods import GHCR, QUAY, body, pod, state
from webhook.decision_cache import DecisionCache
from webhook.mutation import decide
from webhook.review import decode
from webhook.state import WebhookState

APP = "quay.io/acme/app:1"


def test_cached_decision_is_not_used_after_a_change_of_what_it_depends_on() -> None:
    known = state(QUAY, default={"team": "blue"})
    cache = DecisionCache()

    def patches(image: str) -> bool:
        return b'"patch"' in decide(decode(body(pod(image))), known.namespaces["default"], known, cache).response

    assert patches(APP)
    assert patches(APP)
    assert not patches("ghcr.io/x")
    known.index = WebhookState.fixed([GHCR], {}).index
    assert not patches(APP)
    assert patches("ghcr.io/x")
    known.namespaces = {"default": {"sutler.dev/exclude": "true"}}
    assert not patches("ghcr.io/x")
    known.namespaces = {"default": {}}
    assert patches("ghcr.io/x")

    known.accounts = {"default/default": Account(enforces=True)}
    assert not patches("ghcr.io/x")


@pytest.mark.parametrize("where", ["account", "namespace", "secret"])
def test_cache_holds_no_name_that_is_longer_than_any_can_be(where: str) -> None:
    known, size = state(QUAY, default={}), 1_000_000
    cache = DecisionCache()
    tracemalloc.start()
    try:
        for number in range(20):
            name = f"{number}{'x' * size}"
            large = pod(APP, **_named(where, name))
            decide(decode(body(large, **({"namespace": name} if where == "namespace" else {}))), None, known, cache)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 3 * size


def _named(where: str, name: str) -> dict[str, Any]:
    match where:
        case "account":
            return {"serviceAccountName": name}
        case "secret":
            return {"imagePullSecrets": [{"name": name}]}
    return {}


IMAGES = st.lists(st.sampled_from((APP, "ghcr.io/x", "nginx", "blue.example.com/x", "watched.io/x", "BAD")), max_size=3)
SHARED = state(default={}, blue={"team": "blue"})
CACHE = DecisionCache()


@given(IMAGES, st.sampled_from(("default", "blue", "unknown")), st.sampled_from((None, [], [{"name": "quay-secret"}])))
def test_decision_is_the_same_with_and_without_the_cache(images: list[str], namespace: str, own: Any) -> None:
    decoded = decode(body(pod(*images, imagePullSecrets=own), namespace=namespace))
    labels = SHARED.namespaces.get(namespace)
    assert decide(decoded, labels, SHARED, CACHE) == decide(decoded, labels, SHARED, DecisionCache())
