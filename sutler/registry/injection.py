"""Which Pods are left alone, and which of the mappings that match an image bring their pull secret. Pure.

The webhook acts by this, and `sutler explain` and `sutler doctor` tell what it does by the very same.
"""

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sutler.registry.mapping import Mapping, Mode

INJECT = "sutler.dev/inject"
"""Label or annotation of a Pod: "false" opts out."""
EXCLUDE = "sutler.dev/exclude"
"""Label of a namespace: "true" leaves out all of its Pods."""
MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a mirror Pod, which the API server refuses if it names a Secret."""
ENFORCE = "kubernetes.io/enforce-mountable-secrets"
"""Annotation of a ServiceAccount whose Pods the API server refuses if they name a Secret that it does not list."""
SYSTEM_NAMESPACES = ("kube-system", "kube-node-lease")
"""Namespaces that are left out unless the webhook is told otherwise, besides Sutler's own."""
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))  # what Go's ParseBool takes for it

Labels = Dictionary[str, str]


class SkipReason(StrEnum):
    """Why a Pod is, whatever its images are."""

    MIRROR = "mirror"
    OPTED_OUT = "opted_out"
    EXCLUDED = "excluded"


class WithholdReason(StrEnum):
    """Why a Pod does not get the pull secret of a mapping that is for its image."""

    UNKNOWN = "unknown"  # the mapping selects by labels, and nobody knows those of the namespace
    UNSELECTED = "unselected"
    OBSERVED = "observed"
    RESTRICTED = "restricted"  # the ServiceAccount would have the Pod refused


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount, as far as pull secrets go."""

    pull_secrets: tuple[str, ...] = ()
    enforces: bool = False
    """Whether its Pods are refused if they name a pull secret other than these."""

    def refuses(self, secret: str) -> bool:
        return self.enforces and secret not in self.pull_secrets


def parse_account(obj: Dictionary[str, Any]) -> Account:
    """From the API's JSON, or from a file that only looks like it."""
    listed = obj.get("imagePullSecrets")
    names = [_object(reference).get("name") for reference in listed] if isinstance(listed, list) else []
    enforces = _object(_object(obj.get("metadata")).get("annotations")).get(ENFORCE)
    return Account(tuple(str(name) for name in names if name), str(enforces) in _TRUE)


def pod_skip_reason(mirror: str | None, annotation: str | None, label: str | None) -> SkipReason | None:
    """By the Pod's annotation MIRROR, its annotation INJECT and its label INJECT, each None where there is none."""
    if mirror is not None:
        return SkipReason.MIRROR
    return SkipReason.OPTED_OUT if annotation == "false" or label == "false" else None


def namespace_skip_reason(name: str, labels: Labels | None, left_out: frozenset[str]) -> SkipReason | None:
    """`left_out` are the namespaces that are, whatever their labels."""
    if name in left_out or (labels is not None and labels.get(EXCLUDE) == "true"):
        return SkipReason.EXCLUDED
    return None


def withhold_reason(mapping: Mapping, labels: Labels | None) -> WithholdReason | None:
    """By what the mapping says of namespaces with such labels (None: nobody knows them). None: it is not withheld."""
    if mapping.selector.requirements:
        if labels is None:
            return WithholdReason.UNKNOWN
        if not mapping.selector.matches(labels):
            return WithholdReason.UNSELECTED
    return WithholdReason.OBSERVED if mapping.mode is Mode.OBSERVE else None


def _object(value: Any) -> Dictionary[str, Any]:
    return value if isinstance(value, Dictionary) else {}
