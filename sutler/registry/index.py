"""An index of all mappings that finds those that match an image. Pure: no I/O.

The cost of a lookup grows with the parts of the image and with its matches, not with the number of mappings: hosts
without globs are in one dictionary, hosts with globs in trees of their labels from the right, and the globs of a label
are found by their beginnings and ends.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import NamedTuple

from sutler.registry.glob import Glob, is_glob
from sutler.registry.image import ImageError, ImageReference, name_of, parse_image
from sutler.registry.mapping import Mapping
from sutler.registry.pattern import Pattern, split_domain

_CACHED_NAMES = 8192
_CACHED_PODS = 128
"""Replicas come close together. With more entries, Pods that come once cost more than the others save."""
_LONGEST_CACHED_NAME = 512
_LONGEST_CACHED_IMAGES = 2048
"""Characters. Longer texts are rare and are matched each time, so that no client can fill the memory with them."""


class MatchedMappings(NamedTuple):
    """The mappings that match the images of one Pod."""

    mappings: tuple[Mapping, ...]
    """Each mapping once, in the order of the images."""
    names: tuple[str, ...]
    """The names of these mappings."""
    errors: tuple[str, ...]
    """One text for each image that is not a valid reference."""


class _Hit(NamedTuple):
    """A pattern of a mapping; hits are unique and sort by rank."""

    rank: int
    mapping: Mapping


_Paths = dict[str, list[_Hit]]
"""By the pattern's path."""


class _Node:
    """The labels to the left of one label, in hosts with globs."""

    __slots__ = ("anything", "globs", "labels", "paths")

    def __init__(self) -> None:
        self.paths: _Paths = {}
        self.labels: dict[str, _Node] = {}
        self.anything: _Node | None = None  # for the label `*`, which most globs are
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
    """Globs of one label, by the texts with which their matches begin and end."""

    __slots__ = ("_found", "_lengths")

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], dict[bytes, tuple[Glob, _Node]]] = {}
        self._lengths: list[tuple[int, int]] = []
        """Lengths of both texts, each pair once: one label takes so many lookups."""

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
    """The mappings by host and path. It is built once and never changed: a new set of mappings is a new index."""

    def __init__(self, mappings: Iterable[Mapping] = ()) -> None:
        entries = [(pattern, mapping) for mapping in mappings for pattern in mapping.patterns]
        entries.sort(key=lambda entry: (entry[0].vagueness, entry[1].name, entry[0].text))
        self._hosts = _Hosts()
        for rank, (pattern, mapping) in enumerate(entries):
            self._hosts.paths_of(pattern).setdefault(pattern.path, []).append(_Hit(rank, mapping))
        # The caches refer to the tables, not to the index: it is in no cycle, and is freed when a new one replaces it.
        by_name = lru_cache(_CACHED_NAMES)(partial(_lookup_name, self._hosts))
        self._match = partial(_match, self._hosts, by_name)
        self._cached_match = lru_cache(_CACHED_PODS)(self._match)

    def lookup(self, image: ImageReference) -> tuple[Mapping, ...]:
        """The mappings with a pattern that matches the image, the one with the most specific pattern first."""
        return _lookup(self._hosts, image)

    def match(self, images: tuple[str, ...]) -> MatchedMappings:
        """The mappings that match any of these images, which need not be valid."""
        if len("".join(images)) > _LONGEST_CACHED_IMAGES:
            return self._match(images)
        return self._cached_match(images)


class _Hosts:
    """All patterns by their hosts: one dictionary of hosts without globs, and trees of the others."""

    def __init__(self) -> None:
        self._exact: dict[str, _Paths] = {}
        self._globs: dict[tuple[str, int], _Node] = {}
        """By port and number of labels."""

    def paths_of(self, pattern: Pattern) -> _Paths:
        """The patterns that have this pattern's host; it can be added to them."""
        labels, port = pattern.host
        if not any(map(is_glob, labels)):
            return self._exact.setdefault(pattern.text.partition("/")[0], {})
        node = self._globs.setdefault((port, len(labels)), _Node())
        for label in reversed(labels):
            node = node.child(label)
        return node.paths

    def matching(self, domain: str) -> list[_Paths]:
        """The patterns of every host that matches this domain."""
        labels, port = split_domain(domain)
        root = self._globs.get((port, len(labels)))
        nodes = [] if root is None else [root]
        for label in reversed(labels):
            below: list[_Node] = []
            for node in nodes:
                node.children(label, below)
            nodes = below
        exact = self._exact.get(domain)
        return [*([] if exact is None else [exact]), *(node.paths for node in nodes if node.paths)]


def _match(
    hosts: _Hosts, by_name: Callable[[str], tuple[Mapping, ...] | None], images: tuple[str, ...]
) -> MatchedMappings:
    found: dict[str, Mapping] = {}
    errors: list[str] = []
    for image in images:
        name = name_of(image)
        mappings = by_name(name) if name is not None and len(name) <= _LONGEST_CACHED_NAME else None
        if mappings is None:
            try:
                mappings = _lookup(hosts, parse_image(image))
            except ImageError as error:
                errors.append(str(error))
                continue
        for mapping in mappings:
            found[mapping.name] = mapping
    return MatchedMappings(tuple(found.values()), tuple(found), tuple(errors))


def _lookup_name(hosts: _Hosts, name: str) -> tuple[Mapping, ...] | None:
    """None for a name that is not valid."""
    try:
        return _lookup(hosts, parse_image(name))
    except ImageError:
        return None


def _lookup(hosts: _Hosts, image: ImageReference) -> tuple[Mapping, ...]:
    domain, path = image.domain, image.path
    if not domain:  # a host that only the kubelet's keyring takes for one (my_host.lan/app)
        domain, _, path = path.partition("/")
    hits: list[_Hit] = []
    for paths in hosts.matching(domain):
        _collect(paths, path, hits)
    return _sorted(hits)


def _sorted(hits: list[_Hit]) -> tuple[Mapping, ...]:
    if len(hits) > 1:
        hits.sort()
        return tuple({id(hit.mapping): hit.mapping for hit in hits}.values())
    return tuple([hit.mapping for hit in hits])


def _collect(paths: _Paths, path: str, hits: list[_Hit]) -> None:
    """Add the patterns of the path, of every path above it, and of no path."""
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
