"""The content of copies, from a mapping and its source Secret. Pure: no I/O."""

from base64 import b64decode
from dataclasses import dataclass, field

from provisioner.secrets.planning.copies import CopyContent
from provisioner.secrets.planning.copy_metadata import record_of
from sutler.registry import dockerconfig
from sutler.registry.dockerconfig import DATA_KEYS, SourceError
from sutler.registry.mapping import Mapping
from sutler.registry.missing_credentials import join_shortened, missing_text
from sutler.typedefs import Json


@dataclass(frozen=True)
class PullSecretSource:
    """What is cached of a Secret in Sutler's own namespace. Of other types than pull secrets it is only the type."""

    type: str
    data: dict[str, str] = field(repr=False)


def source_entry(secret: Json) -> PullSecretSource:
    kind = secret.get("type", "")
    data = secret.get("data") or {}
    wanted = DATA_KEYS.get(kind, "")
    return PullSecretSource(kind, {key: value for key, value in data.items() if key == wanted})


@dataclass(frozen=True)
class SourceProblem:
    """Why there is nothing to copy, as reason and message of a condition."""

    reason: str
    message: str


@dataclass(frozen=True)
class UsableContent:
    """What to copy."""

    content: CopyContent
    notes: tuple[str, ...] = ()
    """Entries of the source that the kubelet can't use, with the reasons."""
    doubts: tuple[str, ...] = ()
    """Entries that may not work."""


def content_of(mapping: Mapping, source: PullSecretSource | None) -> UsableContent | SourceProblem:
    """Select the entries that the mapping's registries can use: every user who may read Secrets can read the copy."""
    if source is None:
        return SourceProblem(
            "SourceMissing",
            f"Secret {mapping.copy_from} does not exist in Sutler's namespace: create it there, or correct "
            "spec.pullSecret.copyFrom",
        )
    try:
        source_config = dockerconfig.read_secret(source.type, {key: b64decode(v) for key, v in source.data.items()})
        config = dockerconfig.copied(source_config, mapping.registries)
    except SourceError as error:
        return SourceProblem("SourceInvalid", f"Sutler can't use Secret {mapping.copy_from}: {error}")
    if not config.entries:
        why = missing_text(source_config, mapping.registries)
        return SourceProblem("SourceUnusable", f"Secret {mapping.copy_from} has no credentials for {why}")
    value = dockerconfig.render(config.entries, config.type)
    notes = (join_shortened(config.ignored, "; "),) if config.ignored else ()
    doubts = (join_shortened(config.doubts, "; "),) if config.doubts else ()
    metadata = record_of(mapping.copy_labels, mapping.copy_annotations)
    return UsableContent(CopyContent(config.type, DATA_KEYS[config.type], value, metadata), notes, doubts)
