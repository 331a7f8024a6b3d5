"""Mappings, namespaces, ServiceAccounts and Secrets, as read from files or from a cluster. Pure: no I/O."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sutler import well_known
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


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What is known about a pull secret."""

    config: DockerConfig | None
    """Its docker config; None if the kubelet cannot use the Secret or the Secret was not read."""
    problem: str = ""
    """Why `config` is None."""
    missing: bool = False
    """The Secret does not exist."""
    unknown: bool = False
    """The Secret was not read, so nothing is known about it."""
    note: str = ""
    """A remark for the user, such as that the copy is not written yet."""
    source: DockerConfig | None = field(default=None, repr=False)
    """The docker config that copies are made from. It may hold entries that make the Secret itself unusable."""
    token: "TokenPassword | None" = None
    """Set for the Secret of a RegistryToken, and for its copies."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Entries that the kubelet ignores, each with the reason, as text."""
        return self.config.ignored if self.config else ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """Entries that the kubelet uses and a registry may reject, each with the reason, as text."""
        return self.config.doubts if self.config else ()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(entry.key for entry in self.config.entries) if self.config else ()


@dataclass(frozen=True, slots=True)
class TokenPassword:
    """The password of a RegistryToken, as its Secret describes it."""

    token: str
    """The RegistryToken's name."""
    expires_at: str
    """RFC 3339; empty before the first refresh."""

    def has_ended(self, now: datetime) -> bool:
        try:
            return datetime.fromisoformat(self.expires_at) <= now
        except (ValueError, TypeError):
            return False


@dataclass(frozen=True, slots=True)
class InvalidMapping:
    """A RegistryMapping that Sutler cannot use."""

    name: str
    problems: tuple[str, ...]
    registries: tuple[str, ...]


@dataclass
class ClusterView:
    """The objects that decide which pull secrets a Pod gets."""

    own_namespace: str
    """The namespace that Sutler is installed in."""
    mappings: list[RegistryMapping] = field(default_factory=list)
    invalid: list[InvalidMapping] = field(default_factory=list)
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels by name, of the namespaces that were read."""
    secrets: dict[tuple[str, str], SecretInfo] = field(default_factory=dict)
    """By namespace and name. An object in a file may have no namespace: the key is then empty and matches any."""
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)
    """ServiceAccounts by namespace and name, as `secrets`."""
    webhook_selector: LabelSelector | None = None
    """Selects the namespaces whose Pods the API server sends to the webhook; None: as in Sutler's manifests."""
    registered: bool = True
    """Whether the cluster has a MutatingWebhookConfiguration for the webhook."""
    missing_namespaces: set[str] = field(default_factory=set)
    """Namespaces that do not exist."""
    unread_reason: str = "it is not among the files"
    """Why a Secret that is not in `secrets` was not read."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def add_mapping(self, obj: JsonMapping) -> None:
        try:
            self.mappings.append(parse_mapping(dict(obj)))
        except MappingError as error:
            spec = obj.get("spec")
            registries = spec.get("registries") if isinstance(spec, Mapping) else None
            texts = tuple(map(str, registries)) if isinstance(registries, list) else ()
            self.invalid.append(InvalidMapping(error.name, tuple(error.problems), texts))

    def add_secret(self, obj: JsonMapping) -> None:
        self.secrets[_key(obj)] = parse_secret_info(obj)

    def add_account(self, obj: JsonMapping) -> None:
        self.accounts[_key(obj)] = parse_account(obj)

    def add_namespace(self, obj: JsonMapping) -> None:
        metadata = _metadata(obj)
        self.namespaces[str(metadata.get("name"))] = metadata.get("labels") or {}

    def labels(self, namespace: str) -> Mapping[str, str]:
        """The namespace's labels. If it was not read, only the label of its name, which Kubernetes sets since 1.21."""
        return self.namespaces.get(namespace, {well_known.NAMESPACE_NAME: namespace})

    def account(self, namespace: str, name: str) -> Account:
        return self.accounts.get((namespace, name)) or self.accounts.get(("", name)) or Account()

    def is_excluded(self, namespace: str) -> bool:
        """Whether the API server sends no Pods of the namespace to the webhook, or the webhook skips them."""
        labels = self.labels(namespace)
        if self.webhook_selector is not None and not self.webhook_selector.matches(labels):
            return True
        return namespace_skip_reason(namespace, labels, frozenset((*SYSTEM_NAMESPACES, self.own_namespace))) is not None

    def withhold_reason(self, mapping: RegistryMapping, namespace: str) -> WithholdReason | None:
        """Why Pods of the namespace do not get the mapping's pull secret; None if they do."""
        by_name = all(requirement.key == well_known.NAMESPACE_NAME for requirement in mapping.selector.requirements)
        known = by_name or namespace in self.namespaces
        return withhold_reason(mapping, self.labels(namespace) if known else None)

    def secret(self, namespace: str, name: str) -> SecretInfo:
        known = self.secrets.get((namespace, name)) or self.secrets.get(("", name))
        return known or SecretInfo(None, self.unread_reason, unknown=True)

    def copy(self, mapping: RegistryMapping, namespace: str) -> SecretInfo:
        """The mapping's Secret in the namespace, or what its copy will hold once it is written."""
        found = self._copy(mapping, namespace)
        if mapping.copy_from is None:
            return found
        return replace(found, token=self.secret(self.own_namespace, mapping.copy_from).token)

    def _copy(self, mapping: RegistryMapping, namespace: str) -> SecretInfo:
        there = self.secret(namespace, mapping.secret)
        if mapping.copy_from is None or not (there.missing or there.unknown):
            return there
        source = self.secret(self.own_namespace, mapping.copy_from)
        if source.source is None:
            problem = f"its source {mapping.copy_from}: {source.problem}"
            return there if source.unknown else SecretInfo(None, problem, missing=True)
        try:
            config = copied(source.source, mapping.registries)
        except SourceError as error:
            return SecretInfo(None, f"its source {mapping.copy_from}: {error}", missing=True)
        note = "not written yet" if there.missing else ""
        return SecretInfo(config, note=f"{note + '; ' if note else ''}copied from {mapping.copy_from}")


def parse_secret_info(secret: JsonMapping) -> SecretInfo:
    """Reads a Secret object. Error texts quote none of its data."""
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
    return SecretInfo(None if problem else config, problem, source=config, token=_token(_metadata(secret)))


def _token(metadata: JsonMapping) -> TokenPassword | None:
    labels, annotations = metadata.get("labels"), metadata.get("annotations")
    if not isinstance(labels, Mapping) or not labels.get(well_known.TOKEN):
        return None
    expires_at = annotations.get(well_known.EXPIRES_AT) if isinstance(annotations, Mapping) else None
    return TokenPassword(str(labels[well_known.TOKEN]), str(expires_at or ""))


def _metadata(obj: JsonMapping) -> JsonMapping:
    metadata = obj.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _key(obj: JsonMapping) -> tuple[str, str]:
    metadata = _metadata(obj)
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
