"""Remembers decisions. Pods come in replicas: the same images in the same namespace, one after the other."""

from typing import NamedTuple

from sutler.registry.injection import Account, Labels
from webhook.decide import Decision, Facts, inject, read
from webhook.review import Request, encode
from webhook.state import UNRESTRICTED, State

MOST_DECISIONS = 8192
_LARGEST_FACTS = 2048
"""Characters of images and secrets. Larger Pods are rare and are decided each time; nobody can fill the memory."""


class Ready(NamedTuple):
    """A decision, ready to be sent and counted."""

    encoded: bytes
    outcome: str
    mappings: tuple[str, ...]
    labels: Labels | None = None
    account: Account = UNRESTRICTED


class Memo:
    """Decisions under the facts that they follow from. A change of the state is seen by the identity of its parts."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._index: object = None
        self._troubles: object = None
        self._known: dict[Facts, Ready] = {}

    def decide(self, request: Request, labels: Labels | None) -> Ready:
        """As webhook.decide.decide. Raises ReviewError."""
        state = self._state
        facts = read(request, labels, state)
        if isinstance(facts, Decision):
            return _ready(facts)
        if state.index is not self._index or state.troubles is not self._troubles or len(self._known) >= MOST_DECISIONS:
            self._known = {}
            self._index, self._troubles = state.index, state.troubles
        account = state.account(facts.namespace, facts.account)
        known = self._known.get(facts)
        if known is not None and known.labels is labels and known.account is account:
            return known
        ready = _ready(inject(facts, labels, account, state), labels, account)
        if _size(facts) <= _LARGEST_FACTS:
            self._known[facts] = ready
        return ready


def _ready(decision: Decision, labels: Labels | None = None, account: Account = UNRESTRICTED) -> Ready:
    return Ready(encode(decision.verdict), decision.outcome.value, decision.mappings, labels, account)


def _size(facts: Facts) -> int:
    return sum(map(len, facts.images)) + sum(map(len, facts.secrets or ()))
