"""Globs of one label of a host, matched as by Go's filepath.Match. Pure: no I/O.

`*` matches any characters, `?` one, `[a-c]` one of these and `[^a-c]` one other character; a backslash makes the next
character literal. A malformed pattern matches nothing: the kubelet ignores the error.
"""

from collections.abc import Iterator
from typing import NamedTuple

_SEPARATOR = 0x2F
_BROKEN = 0xFFFD  # what Go decodes invalid UTF-8 to
_META = frozenset(b"*?[\\")
_LONGEST_HOST = 253  # characters of a name in DNS
_LABEL = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:"  # the characters of labels of images


class GlobError(ValueError):
    """The pattern is malformed."""


class SingleCharacter(NamedTuple):
    """Matches one character in one of the ranges or, if negated, outside of all."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool
    separator: bool  # whether it may be a slash: true for classes, false for `?`

    def contains(self, rune: int) -> bool:
        if rune == _SEPARATOR and not self.separator:
            return False
        return any(low <= rune <= high for low, high in self.ranges) != self.negated


_ANY = SingleCharacter((), negated=True, separator=False)
Item = int | SingleCharacter  # a literal byte, or one character of a class


class GlobChunk(NamedTuple):
    """A part of a pattern between stars."""

    star: bool  # any characters may precede it
    items: tuple[Item, ...]


class Glob:
    """One compiled pattern."""

    __slots__ = ("_chunks", "is_literal", "is_starred", "prefix", "suffix", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._chunks = tuple(_chunks(text))  # raises GlobError
        # Every match starts and ends with these. The two never overlap in a match, unless the pattern is literal.
        self.prefix = _literal(self._chunks[0].items) if self._chunks and not self._chunks[0].star else b""
        self.suffix = _literal(self._chunks[-1].items[::-1])[::-1] if self._chunks else b""
        self.is_literal = _META.isdisjoint(text)
        # Stars and literal text only: two such globs share a name if their prefixes and suffixes fit together, because
        # the text between the first and the last star of both fits into one name.
        kinds = {isinstance(item, SingleCharacter) for chunk in self._chunks for item in chunk.items}
        self.is_starred = any(chunk.star for chunk in self._chunks) and True not in kinds

    def matches(self, name: bytes) -> bool:
        last = len(self._chunks) - 1
        for position, (star, items) in enumerate(self._chunks):
            if star and not items:
                return _SEPARATOR not in name
            for start in _starts(name) if star else (0,):
                rest = _match(items, name[start:])
                if rest is not None and (not rest or position < last):
                    name = rest
                    break
            else:
                return False
        return not name

    @property
    def shortest(self) -> int:
        """Characters of the shortest name that matches."""
        return sum(len(chunk.items) for chunk in self._chunks)

    def items(self) -> list[Item | None]:
        """The whole pattern, with None for a star."""
        flat: list[Item | None] = []
        for star, items in self._chunks:
            flat += [None] if star else []
            flat += items
        return flat


def overlap(one: Glob, other: Glob) -> bool:
    """Whether a label of a possible host name matches both."""
    # The length of a key is limited only by the size of the Secret.
    if max(one.shortest, other.shortest) > _LONGEST_HOST:
        return False
    for literal, glob in ((one, other), (other, one)):
        if literal.is_literal:
            return glob.matches(literal.text)
    if one.is_starred and other.is_starred:
        return _fit(one.prefix, other.prefix) and _fit(one.suffix[::-1], other.suffix[::-1])
    ours, others = _alphabets(one), _alphabets(other)
    # meets[i]: whether the rest of one and the other from i on share a name; first for an empty rest of one.
    meets = [all(item is None for item in others[start:]) for start in range(len(others) + 1)]
    for item in reversed(ours):
        shorter, meets = meets, [False] * len(meets)
        meets[-1] = item is None and shorter[-1]
        for position, other_item in reversed([*enumerate(others)]):
            if item is None or other_item is None:
                meets[position] = shorter[position] or meets[position + 1]
            else:
                meets[position] = shorter[position + 1] and not item.isdisjoint(other_item)
    return meets[0]


def _fit(one: bytes, other: bytes) -> bool:
    return one.startswith(other) or other.startswith(one)


def is_glob(label: str) -> bool:
    return not _META.isdisjoint(label.encode())


def _alphabets(glob: Glob) -> list[frozenset[int] | None]:
    """The characters allowed at each place of the pattern, None for a star."""
    return [item if item is None else _alphabet(item) for item in glob.items()]


def _alphabet(item: Item) -> frozenset[int]:
    if isinstance(item, SingleCharacter):
        return frozenset(byte for byte in _LABEL if item.contains(byte))
    return frozenset((item,))


def _literal(items: tuple[Item, ...]) -> bytes:
    """The literal bytes at the beginning of the items."""
    found = bytearray()
    for item in items:
        if isinstance(item, SingleCharacter):
            break
        found.append(item)
    return bytes(found)


def _starts(name: bytes) -> Iterator[int]:
    """The positions at which a chunk after a star may begin: a star skips bytes, never a slash."""
    yield 0
    for position, byte in enumerate(name):
        if byte == _SEPARATOR:
            return
        yield position + 1


def _match(items: tuple[Item, ...], name: bytes) -> bytes | None:
    """The rest of a name that starts with the items; None if it does not."""
    position = 0
    for item in items:
        if position >= len(name):
            return None
        if isinstance(item, SingleCharacter):
            rune, length = _rune(name, position)
            if not item.contains(rune):
                return None
            position += length
        elif item == name[position]:
            position += 1
        else:
            return None
    return name[position:]


def _rune(text: bytes, position: int) -> tuple[int, int]:
    """The character at the position and its length in bytes; _BROKEN and 1 for invalid UTF-8."""
    for length in (1, 2, 3, 4):
        try:
            return ord(text[position : position + length].decode()), length
        except (UnicodeDecodeError, TypeError):
            continue
    return _BROKEN, 1


def _chunks(text: bytes) -> Iterator[GlobChunk]:
    position = 0
    while position < len(text):
        start = position
        while text[position : position + 1] == b"*":
            position += 1
        end = _chunk_end(text, position)
        yield GlobChunk(position > start, tuple(_items(text[position:end])))
        position = end


def _chunk_end(text: bytes, position: int) -> int:
    """The position of the next star outside of brackets. As in Go, brackets are counted more simply than parsed."""
    inside = False
    while position < len(text):
        character = text[position : position + 1]
        if character == b"*" and not inside:
            break
        inside = character == b"[" or (inside and character != b"]")
        position += 2 if character == b"\\" else 1
    return min(position, len(text))


def _items(chunk: bytes) -> Iterator[Item]:
    position = 0
    while position < len(chunk):
        character = chunk[position]
        if character == b"["[0]:
            item, position = _class(chunk, position + 1)
            yield item
            continue
        if character == b"\\"[0]:
            position += 1
            if position == len(chunk):
                raise GlobError("a backslash at the end has no character to make literal")
            character = chunk[position]
            yield character
        else:
            yield _ANY if character == b"?"[0] else character
        position += 1


def _class(chunk: bytes, position: int) -> tuple[SingleCharacter, int]:
    negated = chunk[position : position + 1] == b"^"
    position += negated
    ranges: list[tuple[int, int]] = []
    while not (ranges and chunk[position : position + 1] == b"]"):
        low, position = _class_rune(chunk, position)
        high = low
        if chunk[position : position + 1] == b"-":
            high, position = _class_rune(chunk, position + 1)
        ranges.append((low, high))
    return SingleCharacter(tuple(ranges), negated, separator=True), position + 1


def _class_rune(chunk: bytes, position: int) -> tuple[int, int]:
    if chunk[position : position + 1] in {b"", b"-", b"]"}:
        raise GlobError("brackets must hold characters or ranges such as [0-9] and be closed")
    position += chunk[position : position + 1] == b"\\"
    rune, length = _rune(chunk, position) if position < len(chunk) else (_BROKEN, 1)
    position += length
    if (rune == _BROKEN and length == 1) or position >= len(chunk):
        raise GlobError("brackets must hold characters or ranges such as [0-9] and be closed")
    return rune, position
