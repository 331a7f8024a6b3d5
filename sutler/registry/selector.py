"""Label selectors of the Kubernetes API: all matchLabels and matchExpressions must match. Pure: no I/O."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from sutler.errors import SutlerError
from sutler.text import quoted

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
_key = re.compile(rf"(?:(?=.{{1,253}}/){_DOMAIN}/)?{_NAME}").fullmatch
_value = re.compile(rf"(?:{_NAME})?").fullmatch


class SelectorError(SutlerError):
    """The API server would reject this selector; `problems` lists all mistakes."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Operator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values  # also where the label is absent
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A parsed selector. Without requirements it matches everything, as `{}` in the API."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, selector: Any) -> Self:
        """Parse the JSON form. Raises SelectorError."""
        if not isinstance(selector, dict):
            raise SelectorError([f"a label selector is an object, not {quoted(repr(selector))}"])
        problems: list[str] = []
        requirements = tuple(_requirements(selector, problems))
        if problems:
            raise SelectorError(problems)
        return cls(requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.holds(labels) for requirement in self.requirements)


def _requirements(selector: dict[str, Any], problems: list[str]) -> Iterator[Requirement]:
    problems += [
        f"{quoted(str(field))} is no field of a label selector, matchLabels and matchExpressions are"
        for field in selector.keys() - {"matchLabels", "matchExpressions"}
    ]
    labels, expressions = selector.get("matchLabels"), selector.get("matchExpressions")
    if isinstance(labels, dict | None):
        for key, value in (labels or {}).items():
            _check(f"matchLabels[{quoted(str(key))}]", key, [value], problems)
            yield Requirement(str(key), Operator.IN, frozenset((str(value),)))
    else:
        problems.append("matchLabels is an object of label keys and values")
    if not isinstance(expressions, list | None):
        problems.append("matchExpressions is a list")
        return
    for position, expression in enumerate(expressions or []):
        requirement = _expression(f"matchExpressions[{position}]", expression, problems)
        if requirement:
            yield requirement


def _expression(where: str, expression: Any, problems: list[str]) -> Requirement | None:
    if not isinstance(expression, dict):
        problems.append(f"{where} is an object with key, operator and values")
        return None
    key, values = expression.get("key"), expression.get("values") or []
    try:
        operator = Operator(expression.get("operator") or "")
    except ValueError:
        problems.append(
            f"{where}.operator is one of {', '.join(Operator)}, not {quoted(str(expression.get('operator')))}"
        )
        return None
    if not isinstance(values, list):
        problems.append(f"{where}.values is a list of label values")
        return None
    wants_values = operator in {Operator.IN, Operator.NOT_IN}
    if wants_values != bool(values):
        problems.append(f"{where}: {operator} takes {'at least one value' if wants_values else 'no values'}")
    _check(where, key, values, problems)
    return Requirement(str(key), operator, frozenset(map(str, values)))


def _check(where: str, key: Any, values: list[Any], problems: list[str]) -> None:
    if not isinstance(key, str) or not _key(key):
        problems.append(f"{where}: {quoted(str(key))} is no label key ([PREFIX/]NAME, letters, digits, '-', '_', '.')")
    problems += [
        f"{where}: {quoted(str(value))} is no label value (at most 63 letters, digits, '-', '_', '.')"
        for value in values
        if not isinstance(value, str) or not _value(value)
    ]
