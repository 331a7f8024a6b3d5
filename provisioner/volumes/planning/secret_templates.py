"""Resolves the names of Secrets, which a StorageClass gives as templates. Pure: no I/O.

The rules are those of the CSI external-provisioner. A namespace may use only values that the claim's author can't
choose freely: with ${pvc.name} in it, the author of a claim could make nodes use a Secret of any namespace.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sutler.errors import SutlerError

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_ANNOTATION = re.compile(r"pvc\.annotations\['([^']+)'\]")
_IN_NAMESPACE = ("pv.name", "pvc.namespace")
_IN_NAME = (*_IN_NAMESPACE, "pvc.name")
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE = re.compile(_LABEL)
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


class TemplateError(SutlerError):
    """The template is invalid, or the claim does not fit it."""


@dataclass(frozen=True, slots=True)
class SecretReference:
    """A reference to a Secret. In a class, name and namespace are templates; for a claim, they are resolved."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class ClaimFields:
    """The values of a claim that templates may use."""

    name: str
    namespace: str
    volume: str
    annotations: Mapping[str, str]


_SAMPLE = ClaimFields("a", "a", "a", {})


def check(template: SecretReference) -> None:
    """Raises TemplateError for a template that fits no claim."""
    _resolved(template, _SAMPLE, sample=True)


def resolve(template: SecretReference, claim: ClaimFields) -> SecretReference:
    """Returns the Secret for a claim. Raises TemplateError if an annotation is missing or the result is no name."""
    return _resolved(template, claim, sample=False)


def _resolved(template: SecretReference, claim: ClaimFields, *, sample: bool) -> SecretReference:
    namespace = _VARIABLE.sub(lambda found: _in_namespace(found[1], claim), template.namespace)
    if not _NAMESPACE.fullmatch(namespace):
        raise TemplateError(f"{_shown(template.namespace, namespace)} is not the name of a namespace")
    name = _VARIABLE.sub(lambda found: _in_name(found[1], claim, sample=sample), template.name)
    if not _NAME.fullmatch(name):
        raise TemplateError(f"{_shown(template.name, name)} is not the name of a Secret")
    return SecretReference(name, namespace)


def _in_namespace(variable: str, claim: ClaimFields) -> str:
    if variable not in _IN_NAMESPACE:
        raise TemplateError(
            f"${{{variable}}} is not allowed in a Secret's namespace, because the claim's author could choose it: "
            "write the namespace, or ${pvc.namespace}"
        )
    return claim.volume if variable == "pv.name" else claim.namespace


def _in_name(variable: str, claim: ClaimFields, *, sample: bool) -> str:
    key = _ANNOTATION.fullmatch(variable)
    if key is not None:
        if not sample and key[1] not in claim.annotations:
            raise TemplateError(
                f"the class reads the Secret's name from the claim's annotation {key[1]}, which is missing: set it"
            )
        return "a" if sample else claim.annotations[key[1]]
    if variable not in _IN_NAME:
        known = ", ".join(f"${{{one}}}" for one in _IN_NAME)
        raise TemplateError(
            f"${{{variable}}} is not known in a Secret's name; known are {known} and ${{pvc.annotations['KEY']}}"
        )
    return {"pv.name": claim.volume, "pvc.namespace": claim.namespace, "pvc.name": claim.name}[variable]


def _shown(template: str, result: str) -> str:
    return repr(template) if result == template or "$" not in template else f"{template!r} became {result!r}, which"
