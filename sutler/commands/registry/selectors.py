"""Label selectors as kubectl takes them on the command line, to and from the API's form. Pure.

team=a    team==a    team!=a    team in (a,b)    team notin (a,b)    team    !team
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sutler.output import UsageError
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
    """The API's form; no text selects everything. Raises UsageError."""
    labels: dict[str, str] = {}
    expressions = []
    position, again = 0, bool(text.strip())
    while again:
        found = _term(text, position)
        if not found:
            raise UsageError(
                f"--namespaces {text!r} is no label selector (at {text[position:]!r}): write it as for kubectl, such "
                f"as team=a or 'kubernetes.io/metadata.name in (team-a,team-b)'"
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


def show_selector(selector: Mapping[str, Any]) -> str:
    return ",".join(_terms(selector)) or EVERYWHERE


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
