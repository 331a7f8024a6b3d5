"""JSON as Go's encoding/json decodes it: names in any case, and repeated names. Pure: no I/O.

Error texts quote nothing of the document, which may hold credentials.
"""

import base64
import binascii
import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from sutler.errors import SutlerError

_MOST_DIGITS = 4000  # Python rejects more than 4300; the values of numbers are never used
# Levels of nesting. Python's own bound differs between releases, and exceeds that of the functions that walk the value.
_DEEPEST = 100
# An unterminated string extends to the end of the text, so that no byte is read twice.
_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*\\?"?|[{\[]|[}\]]', re.DOTALL)
MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class NotJsonError(SutlerError):
    """Go's decoder rejects the document; the text says why, as the end of a sentence."""


class GoObject:
    """An object with all its fields in their order."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs

    def values(self, name: str) -> Iterator[Any]:
        """The values of fields with this name in any case, as for a Go struct. `name` is in lower case."""
        return (value for key, value in self.pairs if folded(key) == name)

    def as_map(self) -> dict[str, Any]:
        """The fields as a Go map: names are case-sensitive, and the last one of a name counts."""
        return dict(self.pairs)


def load(content: bytes) -> Any:
    """Decode a document, with GoObjects for objects. Raises NotJsonError."""
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
            parse_constant=_reject,
            parse_int=lambda digits: int(digits) if len(digits) < _MOST_DIGITS else 0,
        )
    except json.JSONDecodeError as error:
        if _encoded(content):
            raise NotJsonError("not JSON but the base64 of it: it was encoded once too often") from None
        raise NotJsonError(f"not JSON (line {error.lineno}, column {error.colno})") from None


def plain(value: Any) -> Any:
    """Convert GoObjects to dictionaries."""
    if isinstance(value, GoObject):
        return {key: plain(each) for key, each in value.pairs}
    return [plain(each) for each in value] if isinstance(value, list) else value


def folded(name: str) -> str:
    """Fold a name as Go does for fields: it takes these two letters as s and k."""
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


def _reject(name: str) -> NoReturn:
    raise NotJsonError(f"not JSON: {name} is none")
