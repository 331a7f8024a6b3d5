"""All that the decisions about copies rest on, in memory: mappings, sources, namespaces and the copies themselves."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from provisioner.secrets.planning.content import PullSecretSource, SourceProblem, UsableContent, content_of
from provisioner.secrets.planning.copies import SecretCopy
from sutler.registry import mapping as registry
from sutler.registry.mapping import MappingError, Mode
from sutler.typedefs import Json

RECENT = 30.0
"""Seconds for which our own write counts before the watch has shown it. Only a watch that was cut needs longer."""


SOON = 0.5
"""Seconds until it is worth asking again for what is being worked out."""


@dataclass(frozen=True, slots=True)
class NamespaceState:
    labels: Mapping[str, str]
    terminating: bool


def namespace_entry(namespace: Json) -> NamespaceState:
    metadata = namespace["metadata"]
    return NamespaceState(metadata.get("labels") or {}, "deletionTimestamp" in metadata)


@dataclass(frozen=True)
class DeclaredMapping:
    """A RegistryMapping object."""

    name: str
    uid: str
    generation: int
    mapping: registry.Mapping | None
    """What it says; None if that is impossible, `problem` tells why."""
    problem: str = ""
    status: Json = field(default_factory=dict)
    source: str = ""
    """The Secret that it copies from, even where the rest of it is impossible."""

    def same_spec(self, other: "DeclaredMapping | None") -> bool:
        mine = self.mapping, self.problem, self.source
        return other is not None and mine == (other.mapping, other.problem, other.source)

    @property
    def copying(self) -> registry.Mapping | None:
        """The mapping, if it is one that makes copies now."""
        mapping = self.mapping
        return mapping if mapping and mapping.copy_from and mapping.mode is Mode.INJECT else None

    @property
    def hands_off(self) -> bool:
        """Whether its copies stay as they are, right or wrong: it only observes, or nobody knows what it means."""
        return self.mapping is None or self.mapping.mode is Mode.OBSERVE


def mapping_entry(found: Json) -> DeclaredMapping:
    metadata = found["metadata"]
    mapping, problem = None, ""
    try:
        mapping = registry.parse_mapping(found)
    except MappingError as error:
        problem = "; ".join(error.problems)
    except Exception as error:  # noqa: BLE001 - a mapping that is not known at all would lose its copies
        problem = f"it can't be read ({type(error).__name__})"
    return DeclaredMapping(
        metadata["name"],
        metadata["uid"],
        metadata.get("generation", 0),
        mapping,
        problem,
        found.get("status") or {},
        _source(found),
    )


def _source(found: Json) -> str:
    spec = found.get("spec")
    pull = spec.get("pullSecret") if isinstance(spec, dict) else None
    source = pull.get("copyFrom") if isinstance(pull, dict) else None
    return source if isinstance(source, str) else ""


class CopyCache:
    """The copies as the watch shows them, ahead of which come our own writes that it has not shown yet."""

    def __init__(self, watched: Mapping[str, SecretCopy], clock: Callable[[], float] = time.monotonic) -> None:
        self._watched = watched
        self._clock = clock
        self._recent: dict[str, tuple[SecretCopy | None, float]] = {}

    def get(self, target: str) -> SecretCopy | None:
        recent = self._recent.get(target)
        if recent is None:
            return self._watched.get(target)
        copy, until = recent
        if self._clock() < until:
            return copy
        del self._recent[target]
        return self._watched.get(target)

    def wrote(self, target: str, copy: SecretCopy | None) -> None:
        """We made it so: the copy that the API server answered with, or None if we deleted it.

        The watch may have been faster than the answer. Then nothing is left to be ahead of.
        """
        watched = self._watched.get(target)
        if copy is None:
            faster = watched is None and target not in self._recent
        else:
            faster = watched is not None and (watched == copy or _older(copy.version, watched.version))
        if not faster:
            self._recent[target] = (copy, self._clock() + RECENT)

    def shown(self, target: str, old: SecretCopy | None, new: SecretCopy | None) -> bool:
        """The watch showed a change. Unless that is older than our write, the write is remembered no longer.

        Returns whether it is news, and not just our own write.
        """
        if target not in self._recent:
            return True
        wrote, _ = self._recent[target]
        if wrote is not None:
            if new is None and old is not None and old.uid != wrote.uid:
                return False
            if new is not None and _older(new.version, wrote.version):
                return False
        del self._recent[target]
        return new != wrote

    def of(self, mapping: str) -> Iterator[str]:
        return (target for target, copy in self._watched.items() if copy.mapping == mapping)

    def targets(self) -> Iterator[str]:
        return iter(self._watched)


class SecretsState:
    """The stores of the reflectors, and the few indexes over them."""

    def __init__(
        self,
        own_namespace: str,
        mappings: Mapping[str, DeclaredMapping],
        namespaces: Mapping[str, NamespaceState],
        sources: Mapping[str, PullSecretSource],
        copies: CopyCache,
    ) -> None:
        self.own_namespace = own_namespace
        self.mappings = mappings
        self.namespaces = namespaces
        self.copies = copies
        self._sources = sources
        self._by_secret: dict[str, set[str]] = defaultdict(set)
        self._contents: dict[str, tuple[registry.Mapping, PullSecretSource | None, UsableContent | SourceProblem]] = {}
        self._preparing: set[str] = set()
        for name, declared in mappings.items():
            self.mapping_changed(name, None, declared)

    def mapping_changed(self, name: str, old: DeclaredMapping | None, new: DeclaredMapping | None) -> None:
        if old and old.mapping:
            self._by_secret[old.mapping.secret].discard(name)
        if new and new.mapping:
            self._by_secret[new.mapping.secret].add(name)
        if new is None:
            self._contents.pop(name, None)

    def with_secret(self, name: str) -> Collection[str]:
        """The mappings whose copies have this name."""
        return self._by_secret.get(name, ())

    def open(self, namespace: str) -> bool:
        """Whether things can be made in it."""
        found = self.namespaces.get(namespace)
        return found is not None and not found.terminating

    def selected(self, mapping: registry.Mapping) -> Iterator[str]:
        return (
            name
            for name, namespace in self.namespaces.items()
            if not namespace.terminating and mapping.selector.matches(namespace.labels)
        )

    def is_source(self, target: str) -> bool:
        """Whether it is what some mapping copies from: never to be touched, whatever labels it bears."""
        namespace, name = target.split("/")
        return namespace == self.own_namespace and any(each.source == name for each in self.mappings.values())

    def owner(self, target: str) -> registry.Mapping | None:
        """The mapping whose copy belongs there: of several that want it the one that has it, else the first by name."""
        namespace, name = target.split("/")
        copy = self.copies.get(target)
        if copy and not copy.foreign and (has := self.mappings.get(copy.mapping)) and has.hands_off:
            return None
        labels = self.namespaces[namespace].labels
        wanting = {
            candidate: mapping
            for candidate in self._by_secret.get(name, ())
            if (mapping := self.mappings[candidate].copying) and mapping.selector.matches(labels)
        }
        if copy and copy.mapping in wanting:
            return wanting[copy.mapping]
        return wanting[min(wanting)] if wanting else None

    def content(self, mapping: registry.Mapping) -> UsableContent | SourceProblem:
        """What the mapping's copies hold. Worked out once for each version of mapping and source."""
        if known := self._known(mapping):
            return known
        source = self._source(mapping)
        return self._keep(mapping, source, content_of(mapping, source))

    async def prepare(self, mapping: registry.Mapping) -> bool:
        """Has `content` answer at once. False while another is about that: come again a little later.

        A thousand keys beside a thousand registries may take longer than a lease lasts. So it is done beside the event
        loop, and holds up this mapping only.
        """
        if self._known(mapping):
            return True
        if mapping.name in self._preparing:
            return False
        self._preparing.add(mapping.name)
        try:
            while not self._known(mapping):
                source = self._source(mapping)
                self._keep(mapping, source, await asyncio.to_thread(content_of, mapping, source))
        finally:
            self._preparing.discard(mapping.name)
        return True

    def _source(self, mapping: registry.Mapping) -> PullSecretSource | None:
        return self._sources.get(f"{self.own_namespace}/{mapping.copy_from}")

    def _known(self, mapping: registry.Mapping) -> UsableContent | SourceProblem | None:
        known = self._contents.get(mapping.name)
        if known and known[1] is self._source(mapping) and (known[0] is mapping or known[0] == mapping):
            return known[2]
        return None

    def _keep(
        self, mapping: registry.Mapping, source: PullSecretSource | None, content: UsableContent | SourceProblem
    ) -> UsableContent | SourceProblem:
        self._contents[mapping.name] = (mapping, source, content)
        return content


def _older(version: str, than: str) -> bool:
    """Resource versions are numbers on every API server; one that is not is never called older."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)
