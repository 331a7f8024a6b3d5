"""What is remembered is what would be decided anew."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.registry.injection import Account
from tests.webhook.pods import GHCR, QUAY, body, pod, state
from webhook.decision_cache import DecisionCache
from webhook.review import decode
from webhook.state import WebhookState

APP = "quay.io/acme/app:1"


def test_memo_sees_every_change_of_what_it_decided_by() -> None:
    known = state(QUAY, default={"team": "blue"})
    memo = DecisionCache(known)

    def patches(image: str) -> bool:
        return b'"patch"' in memo.decide(decode(body(pod(image))), known.namespaces["default"]).encoded

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
def test_memo_keeps_no_name_that_is_longer_than_any_can_be(where: str) -> None:
    known, size = state(QUAY, default={}), 1_000_000
    memo = DecisionCache(known)
    tracemalloc.start()
    try:
        for number in range(20):
            name = f"{number}{'x' * size}"
            large = pod(APP, **_named(where, name))
            memo.decide(decode(body(large, **({"namespace": name} if where == "namespace" else {}))), None)
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
MEMO = DecisionCache(SHARED)


@given(IMAGES, st.sampled_from(("default", "blue", "unknown")), st.sampled_from((None, [], [{"name": "quay-secret"}])))
def test_memo_answers_as_if_it_remembered_nothing(images: list[str], namespace: str, own: Any) -> None:
    decoded = decode(body(pod(*images, imagePullSecrets=own), namespace=namespace))
    labels = SHARED.namespaces.get(namespace)
    assert MEMO.decide(decoded, labels).encoded == DecisionCache(SHARED).decide(decoded, labels).encoded
