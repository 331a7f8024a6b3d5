"""All mappings, compiled for one question: which of them are for this image?

The cost of an answer grows with the image's own parts and with what matches it, not with the number of mappings: hosts
without globs are one dictionary, hosts with globs a tree of their labels from the right, and the globs of one label are
found by what they begin and end with.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sutler.registry.glob import Glob, is_glob
from sutler.registry.image import ImageReference
from sutler.registry.mapping import Mapping
from sutler.registry.pattern import Pattern, split_domain

_MOST_REMEMBERED = 16384
_LONGEST_REMEMBERED = 255
"""Of hosts, their number and the length of one: nobody can fill the memory."""


class _Hit(NamedTuple):
    """A pattern of a mapping; hits are unique and sort by rank."""

    rank: int
    mapping: Mapping


_Paths = dict[str, list[_Hit]]
"""By the pattern's path."""


class _Host(NamedTuple):
    """What a host has, by itself and by globs that match it."""

    tables: tuple[_Paths, ...]
    always: tuple[Mapping, ...] | None
    """What matches its images whatever their paths are; None where paths count."""


class _Node:
    """What follows, to the left, on one label of hosts with globs."""

    __slots__ = ("anything", "globs", "labels", "paths")

    def __init__(self) -> None:
        self.paths: _Paths = {}
        self.labels: dict[str, _Node] = {}
        self.anything: _Node | None = None  # after a label that is `*`, which most globs are
        self.globs: _Globs | None = None

    def child(self, label: str) -> "_Node":
        if label == "*":
            self.anything = self.anything or _Node()
            return self.anything
        if is_glob(label):
            self.globs = self.globs or _Globs()
            return self.globs.child(Glob(label.encode()))
        return self.labels.setdefault(label, _Node())

    def children(self, label: str, into: list["_Node"]) -> None:
        exact = self.labels.get(label)
        if exact is not None:
            into.append(exact)
        if self.anything is not None:
            into.append(self.anything)
        if self.globs is not None:
            self.globs.children(label, into)


class _Globs:
    """Globs of one label, by the text that their matches begin with and the text that they end with."""

    __slots__ = ("_found", "_lengths")

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], dict[bytes, tuple[Glob, _Node]]] = {}
        self._lengths: list[tuple[int, int]] = []
        """Of both texts, as far as there are any: so many look-ups one label takes."""

    def child(self, glob: Glob) -> _Node:
        ends = glob.prefix.decode(), glob.suffix.decode()
        if ends not in self._found:
            self._found[ends] = {}
            self._lengths = sorted({*self._lengths, (len(ends[0]), len(ends[1]))})
        return self._found[ends].setdefault(glob.text, (glob, _Node()))[1]

    def children(self, label: str, into: list[_Node]) -> None:
        size = len(label)
        for begin, end in self._lengths:
            if begin + end <= size:
                found = self._found.get((label[:begin], label[size - end :]))
                if found is not None:
                    into += [node for glob, node in found.values() if glob.matches(label.encode())]


class MappingIndex:
    """Built once, never changed: a new set of mappings is a new index."""

    def __init__(self, mappings: Iterable[Mapping] = ()) -> None:
        entries = [(pattern, mapping) for mapping in mappings for pattern in mapping.patterns]
        entries.sort(key=lambda entry: (entry[0].vagueness, entry[1].name, entry[0].text))
        self._exact: dict[str, _Paths] = {}
        self._globs: dict[tuple[str, int], _Node] = {}
        self._hosts: dict[str, _Host] = {}
        """What was found for hosts that were asked for already: images are many, registries few."""
        for rank, (pattern, mapping) in enumerate(entries):
            self._paths(pattern).setdefault(pattern.path, []).append(_Hit(rank, mapping))

    def lookup(self, image: ImageReference) -> tuple[Mapping, ...]:
        """The mappings with a pattern that matches the image, the one with the most specific pattern first."""
        domain, path = image.domain, image.path
        if not domain:  # a host that only the kubelet's keyring takes for one (my_host.lan/app)
            domain, _, path = path.partition("/")
        host = self._hosts.get(domain)
        if host is None:
            host = self._host(domain)
        if host.always is not None:
            return host.always
        hits: list[_Hit] = []
        for paths in host.tables:
            _collect(paths, path, hits)
        return _sorted(hits)

    def _paths(self, pattern: Pattern) -> _Paths:
        labels, port = pattern.host
        if not any(map(is_glob, labels)):
            return self._exact.setdefault(pattern.text.partition("/")[0], {})
        node = self._globs.setdefault((port, len(labels)), _Node())
        for label in reversed(labels):
            node = node.child(label)
        return node.paths

    def _host(self, domain: str) -> _Host:
        labels, port = split_domain(domain)
        root = self._globs.get((port, len(labels)))
        nodes = [] if root is None else [root]
        for label in reversed(labels):
            below: list[_Node] = []
            for node in nodes:
                node.children(label, below)
            nodes = below
        exact = self._exact.get(domain)
        tables = (*([] if exact is None else [exact]), *(node.paths for node in nodes if node.paths))
        always = None if any(path for paths in tables for path in paths) else _sorted(_pathless(tables))
        found = _Host(tables, always)
        if len(domain) <= _LONGEST_REMEMBERED:
            if len(self._hosts) >= _MOST_REMEMBERED:
                self._hosts.clear()
            self._hosts[domain] = found
        return found


def _pathless(tables: Iterable[_Paths]) -> list[_Hit]:
    return [hit for paths in tables for hit in paths.get("", ())]


def _sorted(hits: list[_Hit]) -> tuple[Mapping, ...]:
    if len(hits) > 1:
        hits.sort()
        return tuple({id(hit.mapping): hit.mapping for hit in hits}.values())
    return tuple([hit.mapping for hit in hits])


def _collect(paths: _Paths, path: str, hits: list[_Hit]) -> None:
    """Add what is filed under the path, under any of the paths above it, and under no path."""
    found = paths.get("")
    if found:
        hits += found
    end = path.find("/")
    while end > 0:
        found = paths.get(path[:end])
        if found:
            hits += found
        end = path.find("/", end + 1)
    found = paths.get(path)
    if found:
        hits += found
