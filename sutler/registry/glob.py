"""Shell patterns inside one label of a host, matched as Go's filepath.Match does.

`*` is any characters, `?` is one, `[a-c]` and `[^a-c]` are one of these or none of these, a backslash takes the next
one literally. A malformed pattern matches nothing: the kubelet drops the error.
"""

from collections.abc import Iterator
from typing import NamedTuple

_SEPARATOR = 0x2F
_BROKEN = 0xFFFD  # what Go reads where there is no valid UTF-8
_META = frozenset(b"*?[\\")
_LONGEST_HOST = 253  # characters of a name in DNS
_LABEL = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:"  # what labels of images consist of


class GlobError(ValueError):
    """The pattern is malformed."""


class SingleCharacter(NamedTuple):
    """Matches one character: one of the ranges, or (negated) one outside of all."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool
    separator: bool  # whether it may be a slash: true for classes, false for `?`

    def holds(self, rune: int) -> bool:
        if rune == _SEPARATOR and not self.separator:
            return False
        return any(low <= rune <= high for low, high in self.ranges) != self.negated


_ANY = SingleCharacter((), negated=True, separator=False)
Item = int | SingleCharacter  # a byte that must be there, or one character of some kind


class GlobChunk(NamedTuple):
    star: bool  # anything may come before it
    items: tuple[Item, ...]


class Glob:
    """One compiled pattern."""

    __slots__ = ("_chunks", "is_literal", "is_starred", "prefix", "suffix", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._chunks = tuple(_chunks(text))  # raises GlobError
        # What every match starts and ends with. In a match the two never overlap, unless the pattern is literal.
        self.prefix = _literal(self._chunks[0].items) if self._chunks and not self._chunks[0].star else b""
        self.suffix = _literal(self._chunks[-1].items[::-1])[::-1] if self._chunks else b""
        self.is_literal = _META.isdisjoint(text)
        # Stars and literal text only: with another such it shares a name if beginnings and ends go together, for all
        # that stands between the first and the last star fits in one name.
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
        """All of the pattern, None for a star."""
        flat: list[Item | None] = []
        for star, items in self._chunks:
            flat += [None] if star else []
            flat += items
        return flat


def overlap(one: Glob, other: Glob) -> bool:
    """Whether some label of a host that DNS can have matches both."""
    # No limit but the Secret's own is on the length of a key in it.
    if max(one.shortest, other.shortest) > _LONGEST_HOST:
        return False
    for literal, glob in ((one, other), (other, one)):
        if literal.is_literal:
            return glob.matches(literal.text)
    if one.is_starred and other.is_starred:
        return _fit(one.prefix, other.prefix) and _fit(one.suffix[::-1], other.suffix[::-1])
    mine, theirs = _alphabets(one), _alphabets(other)
    # Whether what is left of one and of the other meet, by how much of the other: first with nothing left of one.
    meets = [all(item is None for item in theirs[start:]) for start in range(len(theirs) + 1)]
    for item in reversed(mine):
        shorter, meets = meets, [False] * len(meets)
        meets[-1] = item is None and shorter[-1]
        for position, their in reversed([*enumerate(theirs)]):
            if item is None or their is None:
                meets[position] = shorter[position] or meets[position + 1]
            else:
                meets[position] = shorter[position + 1] and not item.isdisjoint(their)
    return meets[0]


def _fit(one: bytes, other: bytes) -> bool:
    return one.startswith(other) or other.startswith(one)


def is_glob(label: str) -> bool:
    return not _META.isdisjoint(label.encode())


def _alphabets(glob: Glob) -> list[frozenset[int] | None]:
    """What may stand at each place of the pattern, None for a star."""
    return [item if item is None else _alphabet(item) for item in glob.items()]


def _alphabet(item: Item) -> frozenset[int]:
    if isinstance(item, SingleCharacter):
        return frozenset(byte for byte in _LABEL if item.holds(byte))
    return frozenset((item,))


def _literal(items: tuple[Item, ...]) -> bytes:
    """The bytes that the items begin with."""
    found = bytearray()
    for item in items:
        if isinstance(item, SingleCharacter):
            break
        found.append(item)
    return bytes(found)


def _starts(name: bytes) -> Iterator[int]:
    """Where something after a star may begin: a star skips bytes, never a slash."""
    yield 0
    for position, byte in enumerate(name):
        if byte == _SEPARATOR:
            return
        yield position + 1


def _match(items: tuple[Item, ...], name: bytes) -> bytes | None:
    """What remains of a name that starts with the items."""
    position = 0
    for item in items:
        if position >= len(name):
            return None
        if isinstance(item, SingleCharacter):
            rune, length = _rune(name, position)
            if not item.holds(rune):
                return None
            position += length
        elif item == name[position]:
            position += 1
        else:
            return None
    return name[position:]


def _rune(text: bytes, position: int) -> tuple[int, int]:
    """The character at the position and its length in bytes; _BROKEN and 1 where there is none."""
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
    """The next star outside of brackets. Brackets are counted here as Go does, more simply than when they are read."""
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
                raise GlobError("a backslash at the end takes nothing literally")
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
