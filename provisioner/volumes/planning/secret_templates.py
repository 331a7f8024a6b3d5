"""The names of Secrets that a StorageClass gives as templates: pure.

The rules are those of the CSI external-provisioner. The namespace can be made only of what the claim's author has no
free choice of: with ${pvc.name} in it, the author of a claim could have a node use a Secret of any namespace.
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
    pass


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Of a class: templates. Of a claim: what they came to."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class ClaimFields:
    """What templates may hold of a claim."""

    name: str
    namespace: str
    volume: str
    annotations: Mapping[str, str]


_SAMPLE = ClaimFields("a", "a", "a", {})


def check(template: SecretReference) -> None:
    """Raises TemplateError for what no claim could be served with."""
    _resolved(template, _SAMPLE, sample=True)


def resolve(template: SecretReference, claim: ClaimFields) -> SecretReference:
    """Raises TemplateError where the claim lacks an annotation, or the result is no name."""
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
            f"${{{variable}}} can't be part of a Secret's namespace, which the claim's author must not choose: "
            "write the namespace, or ${pvc.namespace}"
        )
    return claim.volume if variable == "pv.name" else claim.namespace


def _in_name(variable: str, claim: ClaimFields, *, sample: bool) -> str:
    key = _ANNOTATION.fullmatch(variable)
    if key is not None:
        if not sample and key[1] not in claim.annotations:
            raise TemplateError(f"the class takes the Secret's name from the claim's annotation {key[1]}: set it")
        return "a" if sample else claim.annotations[key[1]]
    if variable not in _IN_NAME:
        known = ", ".join(f"${{{one}}}" for one in _IN_NAME)
        raise TemplateError(
            f"${{{variable}}} is not known in a Secret's name; known are {known} and ${{pvc.annotations['KEY']}}"
        )
    return {"pv.name": claim.volume, "pvc.namespace": claim.namespace, "pvc.name": claim.name}[variable]


def _shown(template: str, result: str) -> str:
    return repr(template) if result == template or "$" not in template else f"{template!r} became {result!r}, which"
