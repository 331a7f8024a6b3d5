"""JSON as Go's encoding/json reads it, where Python differs: names in any case, and objects that are there twice.

Error texts quote nothing of the document: it may hold credentials.
"""

import base64
import binascii
import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from sutler.errors import SutlerError

_MOST_DIGITS = 4000  # Python refuses more than 4300, and no number is ever looked at
# Python's own bound is another with each release, above that of the functions which then walk through the value.
_DEEPEST = 100
# A string that has no end goes to the end: nothing is read twice.
_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*\\?"?|[{\[]|[}\]]', re.DOTALL)
MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class NotJsonError(SutlerError):
    """Go's decoder refuses it; the text says why, for the end of a sentence."""


class GoObject:
    """An object with all that stands in it, in its order."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs

    def values(self, name: str) -> Iterator[Any]:
        """What is under the name in any case, as for a field of a Go struct. `name` is in lower case."""
        return (value for key, value in self.pairs if folded(key) == name)

    def as_map(self) -> dict[str, Any]:
        """As a Go map: names as they are written, and the last one counts."""
        return dict(self.pairs)


def load(content: bytes) -> Any:
    """The value, with Objects in it. Raises NotJsonError."""
    if not content.strip():
        raise NotJsonError("not JSON: it is empty")
    if content.startswith(MARKS):
        raise NotJsonError("not JSON: it begins with a byte order mark; save it as UTF-8 without one")
    if _deep(content):
        raise NotJsonError("not JSON: it is nested too deeply")
    try:
        return json.loads(
            content.decode(errors="replace"),
            object_pairs_hook=GoObject,
            parse_constant=_refuse,
            parse_int=lambda digits: int(digits) if len(digits) < _MOST_DIGITS else 0,
        )
    except json.JSONDecodeError as error:
        if _encoded(content):
            raise NotJsonError("not JSON but the base64 of it: it was encoded once too often") from None
        raise NotJsonError(f"not JSON (line {error.lineno}, column {error.colno})") from None


def plain(value: Any) -> Any:
    """With dictionaries for Objects."""
    if isinstance(value, GoObject):
        return {key: plain(each) for key, each in value.pairs}
    return [plain(each) for each in value] if isinstance(value, list) else value


def folded(name: str) -> str:
    """Equal for names that Go takes for one field: these two letters are s and k to it."""
    return name.lower().replace("\u017f", "s").replace("\u212a", "k")


def _deep(content: bytes) -> bool:
    if content.count(b"{") + content.count(b"[") <= _DEEPEST:
        return False
    depth = 0
    for found in _BRACKETS.finditer(content):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(found[0], 0)
        if depth > _DEEPEST:
            return True
    return False


def _encoded(content: bytes) -> bool:
    try:
        return base64.b64decode(b"".join(content.split()), validate=True).lstrip().startswith(b"{")
    except binascii.Error:
        return False


def _refuse(name: str) -> NoReturn:
    raise NotJsonError(f"not JSON: {name} is none")
