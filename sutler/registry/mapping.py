"""RegistryMapping objects, parsed and validated. Pure: no I/O."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sutler.errors import SutlerError
from sutler.registry.pattern import Pattern, PatternError, parse_pattern
from sutler.registry.selector import LabelSelector, SelectorError
from sutler.text import quoted
from sutler.typedefs import Json

_LONGEST_LABEL = 63  # the name is the value of a label on every copy
_LONGEST_NAME = 253
_part = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_OWN_KEYS = ("sutler.dev/", "app.kubernetes.io/managed-by")
_label_value = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?").fullmatch
_any_text = re.compile(r".{0,4096}", re.DOTALL).fullmatch
_qualified = re.compile(rf"(?:{_part}(?:\.{_part})*/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?").fullmatch
_name = re.compile(rf"{_part}(?:\.{_part})*").fullmatch


class MappingError(SutlerError):
    """The mapping is invalid; `problems` lists all mistakes, each with its field."""

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__(f"mapping {name}: {'; '.join(problems)}")
        self.name = name
        self.problems = problems


class CopyPolicy(StrEnum):
    """When copies are made."""

    EAGER = "Eager"
    """In every selected namespace, at once."""
    ON_DEMAND = "OnDemand"
    """Where a Pod names the Secret."""


class Mode(StrEnum):
    INJECT = "Inject"
    OBSERVE = "Observe"


@dataclass(frozen=True, slots=True)
class Mapping:
    name: str
    registries: tuple[str, ...]
    secret: str
    """The name of the pull secret, as in imagePullSecrets."""
    selector: LabelSelector
    copy_from: str | None = None
    mode: Mode = Mode.INJECT
    generation: int = 0
    uid: str = ""
    copies: CopyPolicy = CopyPolicy.EAGER
    copy_labels: tuple[tuple[str, str], ...] = ()
    """Labels that every copy carries, besides Sutler's own."""
    copy_annotations: tuple[tuple[str, str], ...] = ()
    patterns: tuple[Pattern, ...] = field(init=False, repr=False, compare=False)
    """The registries, parsed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "patterns", tuple(map(parse_pattern, self.registries)))


def parse_mapping(obj: dict[str, Any]) -> Mapping:
    """Parse a RegistryMapping of the API. Raises MappingError."""
    metadata = obj.get("metadata") or {}
    name = str(metadata.get("name", ""))
    problems: list[str] = []
    if len(name) > _LONGEST_LABEL:
        problems.append(f"metadata.name has {len(name)} characters, at most {_LONGEST_LABEL} fit into a label")
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        raise MappingError(name, [*problems, "spec is missing"])
    registries = _registries(spec.get("registries"), problems)
    secret, copy_from = _pull_secret(spec.get("pullSecret"), problems)
    selector = _selector(spec, problems)
    mode = _mode(spec.get("mode"), problems)
    if problems:
        raise MappingError(name, problems)
    generation, uid = metadata.get("generation", 0), metadata.get("uid", "")
    pull = spec["pullSecret"]
    return Mapping(
        name,
        registries,
        secret,
        selector,
        copy_from,
        mode,
        generation,
        uid,
        copies=CopyPolicy(pull.get("copies") or CopyPolicy.EAGER),
        copy_labels=tuple(sorted((pull.get("labels") or {}).items())),
        copy_annotations=tuple(sorted((pull.get("annotations") or {}).items())),
    )


def _registries(value: Any, problems: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        problems.append("spec.registries must list at least one registry, such as quay.io/acme")
        return ()
    for position, entry in enumerate(value):
        try:
            parse_pattern(entry if isinstance(entry, str) else str(entry))
        except PatternError as error:
            problems.append(f"spec.registries[{position}]: {error}")
    return tuple(dict.fromkeys(map(str, value)))


def _pull_secret(value: Any, problems: list[str]) -> tuple[str, str | None]:
    if not isinstance(value, dict):
        problems.append("spec.pullSecret.name is missing: the name that Pods get in their imagePullSecrets")
        return "", None
    _check_name("spec.pullSecret.name", value.get("name"), problems)
    copy_from = value.get("copyFrom")
    if copy_from is not None:
        _check_name("spec.pullSecret.copyFrom", copy_from, problems)
    _check_copies(value.get("copies"), copy_from, problems)
    for field_name in ("labels", "annotations"):
        _check_pairs(f"spec.pullSecret.{field_name}", value.get(field_name), problems)
    return str(value.get("name")), None if copy_from is None else str(copy_from)


def _check_copies(value: Any, copy_from: Any, problems: list[str]) -> None:
    if value is not None and value not in list(CopyPolicy):
        problems.append(f"spec.pullSecret.copies is {' or '.join(CopyPolicy)}, not {quoted(str(value))}")
    if value == CopyPolicy.ON_DEMAND and copy_from is None:
        problems.append("spec.pullSecret.copies is OnDemand, but without copyFrom nothing is copied: add copyFrom")


def _check_pairs(where: str, value: Any, problems: list[str]) -> None:
    """Labels or annotations for copies."""
    if value is None:
        return
    if not isinstance(value, dict):
        problems.append(f"{where} must be an object of keys and texts")
        return
    is_value = _label_value if where.endswith("labels") else _any_text
    for key, text in value.items():
        if str(key).startswith(_OWN_KEYS):
            problems.append(f"{where}: {quoted(str(key))} is set by Sutler itself: leave it out")
        elif not _qualified(str(key)):
            problems.append(f"{where}: {quoted(str(key))} is no key such as example.com/team")
        elif not isinstance(text, str) or not is_value(text):
            problems.append(f"{where}: the value of {quoted(str(key))} can't be one ({quoted(str(text))})")


def _selector(spec: dict[str, Any], problems: list[str]) -> LabelSelector:
    if spec.get("namespaceSelector") is None:
        problems.append("spec.namespaceSelector is missing; {} is every namespace, there is no implicit everywhere")
        return LabelSelector()
    try:
        return LabelSelector.parse(spec["namespaceSelector"])
    except SelectorError as error:
        problems += [f"spec.namespaceSelector: {problem}" for problem in error.problems]
        return LabelSelector()


def _mode(value: Any, problems: list[str]) -> Mode:
    try:
        return Mode.INJECT if value is None else Mode(value)
    except ValueError:
        problems.append(f"spec.mode is {' or '.join(Mode)}, not {quoted(str(value))}")
        return Mode.INJECT


def _check_name(where: str, value: Any, problems: list[str]) -> None:
    if not isinstance(value, str) or len(value) > _LONGEST_NAME or not _name(value):
        problems.append(
            f"{where}: {quoted(str(value))} is no name of a Secret (lower-case letters, digits, '-' and '.')"
        )


def ready_condition(mapping: Json) -> Json:
    """The Ready condition of a RegistryMapping; empty if no controller has processed it yet."""
    conditions = (mapping.get("status") or {}).get("conditions") or []
    found: Json = next((condition for condition in conditions if condition.get("type") == "Ready"), {})
    return found
