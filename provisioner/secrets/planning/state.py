"""What decisions about copies depend on: mappings, source Secrets, namespaces and the copies. Pure: no I/O."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from provisioner.secrets.planning.content import PullSecretSource, SourceProblem, UsableContent, content_of
from provisioner.secrets.planning.copy_cache import CopyCache
from provisioner.secrets.planning.demand import Demand, is_eager
from sutler.registry import mapping as registry
from sutler.registry.mapping import CopyPolicy, MappingError, Mode
from sutler.typedefs import Json

SOON = 0.5
"""Seconds to wait for content that is being prepared."""


@dataclass(frozen=True, slots=True)
class NamespaceState:
    """What is cached of a namespace."""

    labels: Mapping[str, str]
    terminating: bool


def namespace_entry(namespace: Json) -> NamespaceState:
    metadata = namespace["metadata"]
    return NamespaceState(metadata.get("labels") or {}, "deletionTimestamp" in metadata)


@dataclass(frozen=True)
class DeclaredMapping:
    """What is cached of a RegistryMapping."""

    name: str
    uid: str
    generation: int
    mapping: registry.Mapping | None
    """The parsed mapping; None if it is invalid, and then `problem` says why."""
    problem: str = ""
    status: Json = field(default_factory=dict)
    source: str = ""
    """Name of the source Secret, also of an invalid mapping; "" for none."""

    def same_spec(self, other: "DeclaredMapping | None") -> bool:
        mine = self.mapping, self.problem, self.source
        return other is not None and mine == (other.mapping, other.problem, other.source)

    @property
    def copying(self) -> registry.Mapping | None:
        """The mapping, if it makes copies."""
        mapping = self.mapping
        return mapping if mapping and mapping.copy_from and mapping.mode is Mode.INJECT else None

    @property
    def keeps_copies(self) -> bool:
        """Whether existing copies stay unchanged: the mapping only observes, or it is invalid."""
        return self.mapping is None or self.mapping.mode is Mode.OBSERVE


def mapping_entry(found: Json) -> DeclaredMapping:
    metadata = found["metadata"]
    mapping, problem = None, ""
    try:
        mapping = registry.parse_mapping(found)
    except MappingError as error:
        problem = "; ".join(error.problems)
    except Exception as error:  # noqa: BLE001 - copies of a mapping that is not cached would be deleted
        problem = f"Sutler could not read it ({type(error).__name__})"
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


class SecretsState:
    """The stores of the reflectors, and indexes over them."""

    def __init__(
        self,
        own_namespace: str,
        mappings: Mapping[str, DeclaredMapping],
        namespaces: Mapping[str, NamespaceState],
        sources: Mapping[str, PullSecretSource],
        copies: CopyCache,
        *,
        demand: Demand | None = None,
    ) -> None:
        self.own_namespace = own_namespace
        self.mappings = mappings
        self.namespaces = namespaces
        self.copies = copies
        self.demand = demand or Demand()
        self._sources = sources
        self._by_secret: dict[str, set[str]] = defaultdict(set)
        self._contents: dict[str, tuple[registry.Mapping, PullSecretSource | None, UsableContent | SourceProblem]] = {}
        self._preparing: set[str] = set()
        for name, declared in mappings.items():
            self.update_mapping(name, None, declared)

    def update_mapping(self, name: str, old: DeclaredMapping | None, new: DeclaredMapping | None) -> None:
        if old and old.mapping:
            self._by_secret[old.mapping.secret].discard(name)
        if new and new.mapping:
            self._by_secret[new.mapping.secret].add(name)
        if new is None:
            self._contents.pop(name, None)

    def with_secret(self, name: str) -> Collection[str]:
        """The mappings whose copies have this name."""
        return self._by_secret.get(name, ())

    def is_open(self, namespace: str) -> bool:
        """Whether objects can be created in the namespace."""
        found = self.namespaces.get(namespace)
        return found is not None and not found.terminating

    def selected(self, mapping: registry.Mapping) -> Iterator[str]:
        return (
            name
            for name, namespace in self.namespaces.items()
            if not namespace.terminating and mapping.selector.matches(namespace.labels)
        )

    def is_needed(self, mapping: registry.Mapping, target: str) -> bool:
        """Whether a copy that is not there is to be made."""
        if mapping.copies is CopyPolicy.EAGER:
            return True
        namespace = self.namespaces.get(target.partition("/")[0])
        return self.demand.is_named(target) or (namespace is not None and is_eager(namespace.labels))

    def is_source(self, target: str) -> bool:
        """Whether a mapping copies from this Secret. It is never changed, independent of its labels."""
        namespace, name = target.split("/")
        return namespace == self.own_namespace and any(each.source == name for each in self.mappings.values())

    def owner(self, target: str) -> registry.Mapping | None:
        """The mapping whose copy belongs at `namespace/name`: of several the present owner, else the first by name."""
        namespace, name = target.split("/")
        copy = self.copies.get(target)
        if copy and not copy.foreign and (present := self.mappings.get(copy.mapping)) and present.keeps_copies:
            return None
        labels = self.namespaces[namespace].labels
        candidates = {
            candidate: mapping
            for candidate in self._by_secret.get(name, ())
            if (mapping := self.mappings[candidate].copying) and mapping.selector.matches(labels)
        }
        if copy and copy.mapping in candidates:
            return candidates[copy.mapping]
        return candidates[min(candidates)] if candidates else None

    def content(self, mapping: registry.Mapping) -> UsableContent | SourceProblem:
        """The content of the mapping's copies, computed once for each version of the mapping and its source."""
        if cached := self._cached(mapping):
            return cached
        source = self._source(mapping)
        return self._store(mapping, source, content_of(mapping, source))

    async def prepare(self, mapping: registry.Mapping) -> bool:
        """Compute `content` beforehand. Returns False while another task computes it: try again a little later.

        A thousand keys and a thousand registries may take longer than the lease lasts. So the computation runs in a
        thread, and delays this mapping only.
        """
        if self._cached(mapping):
            return True
        if mapping.name in self._preparing:
            return False
        self._preparing.add(mapping.name)
        try:
            while not self._cached(mapping):
                source = self._source(mapping)
                self._store(mapping, source, await asyncio.to_thread(content_of, mapping, source))
        finally:
            self._preparing.discard(mapping.name)
        return True

    def _source(self, mapping: registry.Mapping) -> PullSecretSource | None:
        return self._sources.get(f"{self.own_namespace}/{mapping.copy_from}")

    def _cached(self, mapping: registry.Mapping) -> UsableContent | SourceProblem | None:
        known = self._contents.get(mapping.name)
        if known and known[1] is self._source(mapping) and (known[0] is mapping or known[0] == mapping):
            return known[2]
        return None

    def _store(
        self, mapping: registry.Mapping, source: PullSecretSource | None, content: UsableContent | SourceProblem
    ) -> UsableContent | SourceProblem:
        self._contents[mapping.name] = (mapping, source, content)
        return content
