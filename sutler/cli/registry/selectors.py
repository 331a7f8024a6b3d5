"""Converts label selectors between the form of kubectl's command line and that of the API. Pure: no I/O.

team=a    team==a    team!=a    team in (a,b)    team notin (a,b)    team    !team
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sutler import well_known
from sutler.cli.exit_codes import UsageError
from sutler.registry.selector import LabelSelector, SelectorError

_term = re.compile(
    r"""\s*(?:
        (?P<absent>!)\s*(?P<absent_key>[^\s,()=!]+)
      | (?P<set_key>[^\s,()=!]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<key>[^\s,()=!]+)\s*(?:(?P<equals>==|=|!=)\s*(?P<value>[^\s,()=!]*))?
    )\s*(?P<end>,|$)""",
    re.VERBOSE,
).match

EVERYWHERE = "every namespace"


def parse_selector(text: str) -> dict[str, Any]:
    """The API's form of a selector; empty text selects everything. Raises UsageError."""
    labels: dict[str, str] = {}
    expressions = []
    position, again = 0, bool(text.strip())
    while again:
        found = _term(text, position)
        if not found:
            raise UsageError(
                f"--namespaces {text!r} is not a label selector (at {text[position:]!r}): write it as for kubectl, "
                f"such as team=a or 'team in (a,b)'"
            )
        position, again = found.end(), found["end"] == ","
        if found["equals"] in {"=", "=="} and found["key"] not in labels:
            labels[found["key"]] = found["value"]
        else:
            expressions.append(_expression(found))
    selector: dict[str, Any] = {}
    if labels:
        selector["matchLabels"] = labels
    if expressions:
        selector["matchExpressions"] = expressions
    try:
        LabelSelector.parse(selector)
    except SelectorError as error:
        raise UsageError(f"--namespaces {text!r}: {error}") from error
    return selector


def render_selector(selector: Mapping[str, Any], everywhere: str = EVERYWHERE) -> str:
    """The command line's form of a selector; `everywhere` for one that selects all namespaces."""
    return ",".join(_terms(selector)) or everywhere


def why_none(selector: Mapping[str, Any], namespaces: Mapping[str, Mapping[str, str]]) -> str:
    """Why a selector selects no namespace, and what to do. `namespaces` are the labels by name, of all."""
    requirements = LabelSelector.parse(dict(selector)).requirements
    by_name = next((each for each in requirements if each.key == well_known.NAMESPACE_NAME and each.values), None)
    if by_name is None:
        return "No namespace has these labels yet. Set them: kubectl label namespace NAME KEY=VALUE"
    there = sorted(by_name.values & namespaces.keys())
    if not there:
        return f"Namespace {', '.join(sorted(by_name.values))} does not exist yet."
    unlabelled = [name for name in there if well_known.NAMESPACE_NAME not in namespaces[name]]
    if not unlabelled:
        return "No namespace has all of these labels yet."
    lines = "; ".join(f"kubectl label namespace {name} {well_known.NAMESPACE_NAME}={name}" for name in unlabelled)
    return f"Kubernetes before 1.21 does not set the label {well_known.NAMESPACE_NAME}. Set it: {lines}"


def _expression(found: re.Match[str]) -> dict[str, Any]:
    if found["absent"]:
        return {"key": found["absent_key"], "operator": "DoesNotExist"}
    if found["set_key"]:
        operator = "In" if found["operator"] == "in" else "NotIn"
        values = [value.strip() for value in found["values"].split(",")]
        return {"key": found["set_key"], "operator": operator, "values": values}
    if found["equals"]:
        operator = "NotIn" if found["equals"] == "!=" else "In"
        return {"key": found["key"], "operator": operator, "values": [found["value"]]}
    return {"key": found["key"], "operator": "Exists"}


def _terms(selector: Mapping[str, Any]) -> Iterator[str]:
    for key, value in (selector.get("matchLabels") or {}).items():
        yield f"{key}={value}"
    for expression in selector.get("matchExpressions") or []:
        key, values = expression.get("key"), ",".join(expression.get("values") or [])
        match expression.get("operator"):
            case "In":
                yield f"{key} in ({values})"
            case "NotIn":
                yield f"{key} notin ({values})"
            case "Exists":
                yield f"{key}"
            case _:
                yield f"!{key}"
