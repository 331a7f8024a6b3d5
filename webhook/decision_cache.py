"""Remembers decisions.

Pods come in replicas, with the same images; and where images differ they are mostly of the same registries, so that the
same mappings are for them.
"""

from typing import NamedTuple, TypeVar

from sutler.registry.injection import Account, Labels
from webhook.mutation import Decision, MatchedMappings, inject, match, read
from webhook.review import ReviewRequest, encode
from webhook.state import UNRESTRICTED, WebhookState

MOST_REMEMBERED = 8192
_LARGEST = 2048
"""Characters of images, or of everything else. Larger Pods are rare and are decided each time; nobody can fill the
memory, not even with names that no object could have."""

_Question = tuple[str, str, tuple[str, ...] | None, tuple[str, ...]]
"""Namespace, account, secrets, mappings: all that a decision about a new Pod depends on while the state is the same."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class CachedDecision(NamedTuple):
    """A decision, ready to be sent and counted."""

    encoded: bytes
    outcome: str
    mappings: tuple[str, ...]
    labels: Labels | None = None
    account: Account = UNRESTRICTED


class DecisionCache:
    """Decisions by what they follow from. A change of the state is seen by the identity of its parts."""

    def __init__(self, state: WebhookState) -> None:
        self._state = state
        self._index: object = None
        self._troubles: object = None
        self._matched: dict[tuple[str, ...], MatchedMappings] = {}
        """By the images of a Pod."""
        self._known: dict[_Question, CachedDecision] = {}

    def decide(self, request: ReviewRequest, labels: Labels | None) -> CachedDecision:
        """As webhook.mutation.decide. Raises ReviewError."""
        state = self._state
        facts = read(request, labels, state)
        if isinstance(facts, Decision):
            return _ready(facts)
        if state.index is not self._index or state.troubles is not self._troubles:
            self._matched, self._known = {}, {}
            self._index, self._troubles = state.index, state.troubles
        matched = self._matched.get(facts.images)
        if matched is None:
            matched = self._match(facts.images)
        if matched.warnings:
            return _ready(inject(facts, matched, labels, state))
        question = (facts.namespace, facts.account, facts.secrets, matched.names)
        account = state.account(facts.namespace, facts.account)
        known = self._known.get(question)
        if known is not None and known.labels is labels and known.account is account:
            return known
        ready = _ready(inject(facts, matched, labels, state), labels, account)
        if _size((facts.namespace, facts.account, *(facts.secrets or ()))) <= _LARGEST:
            _remember(self._known, question, ready)
        return ready

    def _match(self, images: tuple[str, ...]) -> MatchedMappings:
        matched = match(images, self._state.index)
        if _size(images) <= _LARGEST:
            _remember(self._matched, images, matched)
        return matched


def _remember(known: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(known) >= MOST_REMEMBERED:
        known.clear()
    known[key] = value


def _ready(decision: Decision, labels: Labels | None = None, account: Account = UNRESTRICTED) -> CachedDecision:
    return CachedDecision(encode(decision.verdict), decision.outcome.value, decision.mappings, labels, account)


def _size(texts: tuple[str, ...]) -> int:
    return sum(map(len, texts))
