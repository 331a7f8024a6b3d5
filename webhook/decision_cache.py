"""Decisions that are used again: Pods come in replicas, and many differ in nothing that a decision depends on."""

from enum import StrEnum
from typing import NamedTuple

from cachetools import FIFOCache

from sutler.registry.index import MappingIndex
from sutler.registry.injection import Account, Labels, SkipReason, WithholdReason

_CACHED_DECISIONS = 8192
_LONGEST_KEY = 2048
"""Characters. A key is never longer for objects that can exist, and no client can fill the memory with others."""


class AdmissionOutcome(StrEnum):
    """What a request was decided to be; the values of a metric's label."""

    INJECTED = "injected"
    PRESENT = "present"  # the Pod names all pull secrets that it needs
    UNMATCHED = "unmatched"
    OBSERVED = WithholdReason.OBSERVED.value
    RESTRICTED = WithholdReason.RESTRICTED.value
    OPTED_OUT = SkipReason.OPTED_OUT.value
    EXCLUDED = SkipReason.EXCLUDED.value
    MIRROR = SkipReason.MIRROR.value
    UPDATE = "update"  # too late to inject; there may be a warning
    IGNORED = "ignored"  # the request does not concern the images of a Pod


class Decision(NamedTuple):
    """The response to a request, and what the metrics count."""

    outcome: AdmissionOutcome
    response: bytes
    """Encoded, as `webhook.review.encode` returns it."""
    mappings: tuple[str, ...] = ()
    """Names of the mappings that matched."""


class DecisionKey(NamedTuple):
    """Everything that the decision about a new Pod depends on, apart from the webhook's state."""

    namespace: str
    account: str
    """Name of the ServiceAccount."""
    secrets: tuple[str, ...] | None
    """The Pod's own pull secrets; None if it has no entry."""
    mappings: tuple[str, ...]
    """Names of the mappings that match its images."""


class _Entry(NamedTuple):
    decision: Decision
    labels: Labels | None
    account: Account


class DecisionCache:
    """Decisions by their keys. Changes of the state are seen by the identity of its parts."""

    def __init__(self) -> None:
        self._index: MappingIndex | None = None
        self._problems: object = None
        self._entries: FIFOCache[DecisionKey, _Entry] = FIFOCache(_CACHED_DECISIONS)

    def clear_if_changed(self, index: MappingIndex, problems: object) -> None:
        if index is not self._index or problems is not self._problems:
            self._index, self._problems = index, problems
            self._entries.clear()

    def get(self, key: DecisionKey, labels: Labels | None, account: Account) -> Decision | None:
        entry = self._entries.get(key)
        return entry.decision if entry and entry.labels is labels and entry.account is account else None

    def add(self, key: DecisionKey, labels: Labels | None, account: Account, decision: Decision) -> None:
        if sum(map(len, (key.namespace, key.account, *(key.secrets or ())))) <= _LONGEST_KEY:
            self._entries[key] = _Entry(decision, labels, account)
