"""What is known about mappings, namespaces and Secrets, from files or from a cluster. Pure."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from sutler.registry.dockerconfig import DockerConfig, SourceError, copied, read_secret
from sutler.registry.injection import (
    SYSTEM_NAMESPACES,
    Account,
    WithholdReason,
    namespace_skip_reason,
    parse_account,
    withhold_reason,
)
from sutler.registry.mapping import Mapping as RegistryMapping
from sutler.registry.mapping import MappingError, parse_mapping
from sutler.registry.selector import LabelSelector
from sutler.typedefs import JsonMapping

NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """A pull secret as far as it is known."""

    config: DockerConfig | None
    problem: str = ""
    """Why there is no config."""
    missing: bool = False
    """It is known not to be there."""
    unknown: bool = False
    """Nobody could look."""
    note: str = ""
    source: DockerConfig | None = field(default=None, repr=False)
    """What copies can be made of. It may have entries by which the Secret itself can't be used."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """What is in it and of no use to the kubelet, in words."""
        return self.config.ignored if self.config else ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What the kubelet uses of it and a registry may refuse, in words."""
        return self.config.doubts if self.config else ()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(entry.key for entry in self.config.entries) if self.config else ()


@dataclass(frozen=True, slots=True)
class UnreadableObject:
    """A mapping that can't be used."""

    name: str
    problems: tuple[str, ...]
    registries: tuple[str, ...]


@dataclass
class ClusterView:
    own_namespace: str
    mappings: list[RegistryMapping] = field(default_factory=list)
    broken: list[UnreadableObject] = field(default_factory=list)
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of those that are known."""
    secrets: dict[tuple[str, str], SecretInfo] = field(default_factory=dict)
    """By namespace and name. In files the namespace may be missing: then it is empty, and any fits."""
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)
    covered: LabelSelector | None = None
    """Namespaces whose Pods the API server sends to the webhook; None: as Sutler's own manifests say."""
    registered: bool = True
    """Whether the API server knows the webhook at all."""
    absent: set[str] = field(default_factory=set)
    """Namespaces that are known not to be there."""
    unseen: str = "it is not among the files"
    """Why a Secret that is not here is not here."""

    def add_mapping(self, obj: JsonMapping) -> None:
        try:
            self.mappings.append(parse_mapping(dict(obj)))
        except MappingError as error:
            spec = obj.get("spec")
            registries = spec.get("registries") if isinstance(spec, Mapping) else None
            texts = tuple(map(str, registries)) if isinstance(registries, list) else ()
            self.broken.append(UnreadableObject(error.name, tuple(error.problems), texts))

    def add_secret(self, obj: JsonMapping) -> None:
        self.secrets[_key(obj)] = held(obj)

    def add_account(self, obj: JsonMapping) -> None:
        self.accounts[_key(obj)] = parse_account(obj)

    def add_namespace(self, obj: JsonMapping) -> None:
        metadata = _metadata(obj)
        self.namespaces[str(metadata.get("name"))] = metadata.get("labels") or {}

    def labels(self, namespace: str) -> Mapping[str, str]:
        """Of a namespace nobody showed only its name is known, which every cluster since 1.21 has as a label."""
        return self.namespaces.get(namespace, {NAMESPACE_NAME: namespace})

    def account(self, namespace: str, name: str) -> Account:
        return self.accounts.get((namespace, name)) or self.accounts.get(("", name)) or Account()

    def excluded(self, namespace: str) -> bool:
        """Whether Pods there never come to the webhook, or are left alone by it."""
        labels = self.labels(namespace)
        if self.covered is not None and not self.covered.matches(labels):
            return True
        return namespace_skip_reason(namespace, labels, frozenset((*SYSTEM_NAMESPACES, self.own_namespace))) is not None

    def withheld(self, mapping: RegistryMapping, namespace: str) -> WithholdReason | None:
        by_name = all(requirement.key == NAMESPACE_NAME for requirement in mapping.selector.requirements)
        known = by_name or namespace in self.namespaces
        return withhold_reason(mapping, self.labels(namespace) if known else None)

    def secret(self, namespace: str, name: str) -> SecretInfo:
        known = self.secrets.get((namespace, name)) or self.secrets.get(("", name))
        return known or SecretInfo(None, self.unseen, unknown=True)

    def copy(self, mapping: RegistryMapping, namespace: str) -> SecretInfo:
        """The mapping's Secret in the namespace, or what its copy will hold as soon as it is there."""
        there = self.secret(namespace, mapping.secret)
        if mapping.copy_from is None or not (there.missing or there.unknown):
            return there
        source = self.secret(self.own_namespace, mapping.copy_from)
        if source.source is None:
            return (
                there
                if source.unknown
                else SecretInfo(None, f"its source {mapping.copy_from}: {source.problem}", missing=True)
            )
        try:
            config = copied(source.source, mapping.registries)
        except SourceError as error:
            return SecretInfo(None, f"its source {mapping.copy_from}: {error}", missing=True)
        note = "not there yet" if there.missing else ""
        return SecretInfo(config, note=f"{note + '; ' if note else ''}as copied from {mapping.copy_from}")


def held(secret: JsonMapping) -> SecretInfo:
    """What a Secret object says; never what its credentials are."""
    data: dict[str, bytes] = {}
    encoded, plain = secret.get("data") or {}, secret.get("stringData") or {}
    if not isinstance(encoded, Mapping) or not isinstance(plain, Mapping):
        return SecretInfo(None, "its data is not an object")
    for name, value in encoded.items():
        try:
            data[name] = base64.b64decode(str(value or "").replace("\r", "").replace("\n", ""), validate=True)
        except (binascii.Error, ValueError):
            return SecretInfo(None, f"its data[{name}] is not base64")
    data |= {name: str(value).encode() for name, value in plain.items()}
    try:
        config = read_secret(str(secret.get("type") or "Opaque"), data)
    except SourceError as error:
        return SecretInfo(None, str(error))
    problem = "; ".join(config.problems)
    return SecretInfo(None if problem else config, problem, source=config)


def _metadata(obj: JsonMapping) -> JsonMapping:
    metadata = obj.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _key(obj: JsonMapping) -> tuple[str, str]:
    metadata = _metadata(obj)
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
