"""Which keys of docker configs match an image of a mapping's registries. Pure: no I/O.

A source may hold a thousand keys and a mapping a thousand registries, so nothing here compares each with each. A set of
registries is a number with one bit for each: those that suit each label of a key's host, and its path, are intersected.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_

from sutler.registry.glob import Glob, overlap
from sutler.registry.image import DOCKER_HUB, DOCKER_INDEX, is_path
from sutler.registry.keyring import Key
from sutler.registry.pattern import Pattern, parse_pattern

_HUB = tuple(DOCKER_HUB.encode().split(b"."))
_INDEX = tuple(DOCKER_INDEX.encode().split(b"."))
_AFTER = b"\xff" * 4  # above all that UTF-8 can hold

Bits = int


class RegistryCoverage:
    """The registries of one mapping, prepared for many keys."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._shapes: dict[tuple[bytes, int], tuple[list[_Labels], _Paths]] = {}
        self._hub = False
        for number, pattern in enumerate(patterns):
            count = len(pattern.globs)
            shape = pattern.host.port.encode(), count
            labels, paths = self._shapes.setdefault(shape, ([_Labels() for _ in range(count)], _Paths()))
            for table, glob in zip(labels, pattern.globs, strict=True):
                table.add(glob, 1 << number)
            paths.add(pattern.path, 1 << number)
            self._hub |= shape == (b"", len(_HUB)) and all(map(Glob.matches, pattern.globs, _HUB))

    @classmethod
    def parsed(cls, texts: Iterable[str]) -> "RegistryCoverage":
        return cls(map(parse_pattern, texts))

    def served_by(self, key: Key) -> bool:
        """Whether the kubelet would try the key for an image of the registries."""
        if key.labels is None:
            return False
        if not key.port and tuple(label.text for label in key.labels) == _INDEX:
            return key.is_fallback and self._hub  # no image has this host: Docker Hub's is docker.io
        labels, paths = self._shapes.get((key.port, len(key.labels)), ([], None))
        path = key.path.decode(errors="replace").removeprefix("/")
        if paths is None or (path and not is_path(path) and not is_path(f"{path}a")):
            return False  # a tag or a glob: no image's path begins so
        suit = paths.suiting(path)
        for table, label in zip(labels, key.labels, strict=True):
            suit &= table.suiting(label) if suit else 0
        return bool(suit)


class _Paths:
    """Paths of registries, which match up to a slash; keys are plain prefixes."""

    def __init__(self) -> None:
        self._all: dict[str, Bits] = {}
        self._sorted: list[str] = []
        self._any = 0

    def add(self, path: str, bit: Bits) -> None:
        self._all[path] = self._all.get(path, 0) | bit
        self._any |= bit
        self._sorted = []

    def suiting(self, key: str) -> Bits:
        if not key:
            return self._any
        self._sorted = self._sorted or sorted(f"{path}/" for path in self._all if path)
        found = self._all.get("", 0)
        for end, letter in enumerate(key):
            if letter == "/":
                found |= self._all.get(key[:end], 0)
        start, end = bisect_left(self._sorted, key), bisect_left(self._sorted, f"{key}\U0010ffff")
        return reduce(or_, (self._all[path[:-1]] for path in self._sorted[start:end]), found)


class _Labels:
    """Labels at one place of the registries' hosts."""

    def __init__(self) -> None:
        self._literals = _Table()
        self._globs = _Table()
        self._outlines = _Table()
        """Globs by their prefix and suffix, which decide about an overlap with another glob with stars only."""
        self._found: dict[bytes, Bits] = {}

    def add(self, label: Glob, bit: Bits) -> None:
        if label.is_literal:
            self._literals.add(label, bit)
            return
        self._globs.add(label, bit)
        self._outlines.add(Glob(b"*".join((label.prefix, label.suffix))) if label.is_starred else label, bit)

    def suiting(self, label: Glob) -> Bits:
        """The registries whose label overlaps with this one."""
        found = self._found.get(label.text)
        if found is None:
            globs = self._outlines if label.is_starred else self._globs
            near = [*globs.near(label), *([] if label.is_literal else self._literals.near(label))]
            found = self._literals.exact(label) if label.is_literal else 0
            found = reduce(or_, (bits for glob, bits in near if overlap(label, glob)), found)
            self._found[label.text] = found
        return found


class _Table:
    """Labels by their text, and by their beginning and end."""

    def __init__(self) -> None:
        self._all: dict[bytes, tuple[Glob, Bits]] = {}
        self._affixes: tuple[_Affixes, _Affixes] | None = None

    def add(self, label: Glob, bit: Bits) -> None:
        _, bits = self._all.get(label.text, (label, 0))
        self._all[label.text] = label, bits | bit

    def exact(self, label: Glob) -> Bits:
        return self._all.get(label.text, (label, 0))[1]

    def near(self, label: Glob) -> Iterator[tuple[Glob, Bits]]:
        """The labels that may begin as this one, or those that may end as it does (the smaller set)."""
        if self._affixes is None:
            self._affixes = (
                _Affixes({text: glob.prefix for text, (glob, _) in self._all.items()}),
                _Affixes({text: glob.suffix[::-1] for text, (glob, _) in self._all.items()}),
            )
        begin, end = self._affixes
        fewer = min(begin.near(label.prefix), end.near(label.suffix[::-1]), key=len)
        return (self._all[text] for text in fewer)


class _Affixes:
    """Texts by their beginning (or, reversed, by their end)."""

    def __init__(self, texts: dict[bytes, bytes]) -> None:
        ordered = sorted((affix, text) for text, affix in texts.items())
        self._affixes = [affix for affix, _ in ordered]
        self._texts = [text for _, text in ordered]
        self._lengths = sorted({len(affix) for affix in self._affixes})

    def near(self, affix: bytes) -> list[bytes]:
        """The texts whose affix is a prefix of this one, or has it as prefix."""
        found = self._between(affix, affix + _AFTER)
        for length in self._lengths:
            if length >= len(affix):
                break
            found += self._between(affix[:length], affix[:length] + b"\x00")
        return found

    def _between(self, low: bytes, high: bytes) -> list[bytes]:
        return self._texts[bisect_left(self._affixes, low) : bisect_left(self._affixes, high)]
