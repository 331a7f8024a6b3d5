"""All mappings, compiled for one question: which of them are for this image?

The cost of an answer grows with the image's own parts and with what matches it, not with the number of mappings: hosts
without globs are one dictionary, hosts with globs a tree of their labels from the right, and the globs of one label are
found by what they begin and end with.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sutler.registry.glob import Glob, is_glob
from sutler.registry.image import Image
from sutler.registry.mapping import Mapping
from sutler.registry.pattern import Pattern, split_name


class _Hit(NamedTuple):
    """A pattern of a mapping; hits are unique and sort by rank."""

    rank: int
    mapping: Mapping


_Paths = dict[str, list[_Hit]]
"""By the pattern's path."""


class _Node:
    """What follows, to the left, on one label of hosts with globs."""

    __slots__ = ("globs", "labels", "paths")

    def __init__(self) -> None:
        self.paths: _Paths = {}
        self.labels: dict[str, _Node] = {}
        self.globs = _Globs()

    def child(self, label: str) -> "_Node":
        return self.globs.child(label) if is_glob(label) else self.labels.setdefault(label, _Node())

    def children(self, label: str) -> Iterator["_Node"]:
        exact = self.labels.get(label)
        if exact:
            yield exact
        yield from self.globs.children(label)


class _Globs:
    """Globs of one label, by the text that their matches begin with, then by the text that they end with."""

    __slots__ = ("_by_prefix", "_prefix_lengths")

    def __init__(self) -> None:
        self._by_prefix: dict[str, _Suffixes] = {}
        self._prefix_lengths: list[int] = []

    def child(self, label: str) -> _Node:
        glob = Glob(label.encode())
        prefix = glob.prefix.decode()
        if prefix not in self._by_prefix:
            self._by_prefix[prefix] = _Suffixes()
            self._prefix_lengths = sorted({*self._prefix_lengths, len(prefix)})
        return self._by_prefix[prefix].child(glob)

    def children(self, label: str) -> Iterator[_Node]:
        for length in self._prefix_lengths:
            suffixes = self._by_prefix.get(label[:length])
            if suffixes and length <= len(label):
                yield from suffixes.children(label)


class _Suffixes:
    __slots__ = ("_by_suffix", "_lengths")

    def __init__(self) -> None:
        self._by_suffix: dict[str, dict[bytes, tuple[Glob, _Node]]] = {}
        self._lengths: list[int] = []

    def child(self, glob: Glob) -> _Node:
        suffix = glob.suffix.decode()
        if suffix not in self._by_suffix:
            self._by_suffix[suffix] = {}
            self._lengths = sorted({*self._lengths, len(suffix)})
        _, node = self._by_suffix[suffix].setdefault(glob.text, (glob, _Node()))
        return node

    def children(self, label: str) -> Iterator[_Node]:
        text = label.encode()
        for length in self._lengths:
            if length <= len(label):
                for glob, node in self._by_suffix.get(label[len(label) - length :], {}).values():
                    if glob.matches(text):
                        yield node


class MappingIndex:
    """Built once, never changed: a new set of mappings is a new index."""

    def __init__(self, mappings: Iterable[Mapping] = ()) -> None:
        entries = [(pattern, mapping) for mapping in mappings for pattern in mapping.patterns]
        entries.sort(key=lambda entry: (entry[0].vagueness, entry[1].name, entry[0].text))
        self._exact: dict[str, _Paths] = {}
        self._globs: dict[tuple[str, int], _Node] = {}
        for rank, (pattern, mapping) in enumerate(entries):
            self._paths(pattern).setdefault(pattern.path, []).append(_Hit(rank, mapping))

    def lookup(self, image: Image) -> list[Mapping]:
        """The mappings with a pattern that matches the image, the one with the most specific pattern first."""
        hits: list[_Hit] = []
        exact = self._exact.get(image.domain)
        if exact is not None:
            _collect(exact, image.path, hits)
        if self._globs or not image.domain:
            self._collect_globs(image, hits)
        if len(hits) > 1:
            hits.sort()
            return list({id(hit.mapping): hit.mapping for hit in hits}.values())
        return [hit.mapping for hit in hits]

    def _paths(self, pattern: Pattern) -> _Paths:
        labels, port = pattern.host
        if not any(map(is_glob, labels)):
            return self._exact.setdefault(pattern.text.partition("/")[0], {})
        node = self._globs.setdefault((port, len(labels)), _Node())
        for label in reversed(labels):
            node = node.child(label)
        return node.paths

    def _collect_globs(self, image: Image, hits: list[_Hit]) -> None:
        (labels, port), path = split_name(image)
        if not image.domain:
            # A host that only the kubelet's keyring takes for one (my_host.lan/app).
            _collect(self._exact.get(".".join(labels), {}), path, hits)
        root = self._globs.get((port, len(labels)))
        nodes = [root] if root else []
        for label in reversed(labels):
            nodes = [child for node in nodes for child in node.children(label)]
        for node in nodes:
            _collect(node.paths, path, hits)


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
