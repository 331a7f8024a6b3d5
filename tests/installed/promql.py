"""What an expression of PromQL asks for: pure, and no more of the language than our rules and dashboard use."""

import re
from typing import NamedTuple

_WORDS = {
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "inf",
}
_SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)\s*(?P<open>[({]?)")
_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*,?')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


class Selector(NamedTuple):
    metric: str
    matchers: tuple[tuple[str, str, str], ...]

    def matches(self, labels: dict[str, str]) -> bool:
        return all(_holds(labels.get(label, ""), operator, value) for label, operator, value in self.matchers)


def selectors(expression: str) -> list[Selector]:
    """Every series that it reads."""
    # The quoted may hold anything, durations no names, groupings only labels.
    text = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub("", expression))
    found, at = [], 0
    while match := _SELECTOR.search(text, at):
        at = match.end()
        if match["open"] == "(" or match["name"] in _WORDS or text[match.start() - 1 : match.start()].isdigit():
            continue
        end = text.index("}", at) if match["open"] == "{" else at
        matchers = _MATCHER.findall(text[at:end]) if match["open"] == "{" else []
        found.append(Selector(match["name"], tuple(matchers)))
        at = end
    return found


def grouped(expression: str) -> set[str]:
    """Every label that it groups by."""
    return {label.strip() for listed in _GROUPING.findall(expression) for label in listed.split(",") if label.strip()}


def _holds(value: str, operator: str, wanted: str) -> bool:
    same = re.fullmatch(wanted, value) is not None if "~" in operator else value == wanted
    return same != operator.startswith("!")
