"""Which Pods are skipped, and which of the matching mappings have their pull secret injected. Pure: no I/O.

The webhook, `sutler explain` and `sutler doctor` all decide by this module.
"""

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sutler import well_known
from sutler.registry.mapping import Mapping, Mode

SYSTEM_NAMESPACES = ("kube-system", "kube-node-lease")
"""Namespaces that the webhook skips by default, besides Sutler's own."""
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))  # as Go's ParseBool

Labels = Dictionary[str, str]


class SkipReason(StrEnum):
    """Why a Pod is skipped, independent of its images."""

    MIRROR = "mirror"
    OPTED_OUT = "opted_out"
    EXCLUDED = "excluded"


class WithholdReason(StrEnum):
    """Why a Pod does not get the pull secret of a mapping that matches its image."""

    UNKNOWN = "unknown"  # the mapping selects by labels, and the namespace could not be read
    UNSELECTED = "unselected"
    OBSERVED = "observed"
    RESTRICTED = "restricted"  # the API server would reject the Pod because of its ServiceAccount


@dataclass(frozen=True, slots=True)
class Account:
    """The fields of a ServiceAccount that concern pull secrets."""

    pull_secrets: tuple[str, ...] = ()
    enforces: bool = False
    """Whether its Pods are rejected if they name other pull secrets."""

    def refuses(self, secret: str) -> bool:
        return self.enforces and secret not in self.pull_secrets


def parse_account(obj: Dictionary[str, Any]) -> Account:
    """Parse a ServiceAccount of the API, or of a file with possible mistakes."""
    listed = obj.get("imagePullSecrets")
    names = [_object(reference).get("name") for reference in listed] if isinstance(listed, list) else []
    enforces = _object(_object(obj.get("metadata")).get("annotations")).get(well_known.ENFORCE)
    return Account(tuple(str(name) for name in names if name), str(enforces) in _TRUE)


def pod_skip_reason(mirror: str | None, annotation: str | None, label: str | None) -> SkipReason | None:
    """The reason by the Pod's annotations MIRROR and INJECT and its label INJECT, each None if absent."""
    if mirror is not None:
        return SkipReason.MIRROR
    return SkipReason.OPTED_OUT if annotation == "false" or label == "false" else None


def namespace_skip_reason(name: str, labels: Labels | None, excluded: frozenset[str]) -> SkipReason | None:
    """The reason by the namespace. Those in `excluded` are skipped independent of their labels."""
    if name in excluded or (labels is not None and labels.get(well_known.EXCLUDE) == "true"):
        return SkipReason.EXCLUDED
    return None


def withhold_reason(mapping: Mapping, labels: Labels | None) -> WithholdReason | None:
    """The reason by the labels of the namespace (None: not known). None if the pull secret is injected."""
    if mapping.selector.requirements:
        if labels is None:
            return WithholdReason.UNKNOWN
        if not mapping.selector.matches(labels):
            return WithholdReason.UNSELECTED
    return WithholdReason.OBSERVED if mapping.mode is Mode.OBSERVE else None


def _object(value: Any) -> Dictionary[str, Any]:
    return value if isinstance(value, Dictionary) else {}
