"""From a mapping and its source Secret to what the copies hold. Pure."""

import base64
from dataclasses import dataclass, field

from provisioner.secrets.copies import Content
from sutler.kube.resources import Json
from sutler.registry import dockerconfig
from sutler.registry.dockerconfig import DATA_KEYS, SourceError
from sutler.registry.mapping import Mapping


@dataclass(frozen=True)
class Source:
    """A Secret of Sutler's own namespace. Of other types than pull secrets nothing but the type is kept."""

    type: str
    data: dict[str, str] = field(repr=False)


def keep_source(secret: Json) -> Source:
    kind = secret.get("type", "")
    data = secret.get("data") or {}
    wanted = DATA_KEYS.get(kind, "")
    return Source(kind, {key: value for key, value in data.items() if key == wanted})


@dataclass(frozen=True)
class Problem:
    """Why there is nothing to copy."""

    reason: str
    message: str


@dataclass(frozen=True)
class Usable:
    """What to copy, and what of the source will be of no use to anybody."""

    content: Content
    notes: tuple[str, ...] = ()


def content_of(mapping: Mapping, source: Source | None) -> Usable | Problem:
    """Only the entries that the mapping's registries can use: whoever may read Secrets there reads the copy."""
    if source is None:
        return Problem(
            "SourceMissing",
            f"Secret {mapping.copy_from} is not in Sutler's namespace: create it there, or correct "
            "spec.pullSecret.copyFrom",
        )
    try:
        config = dockerconfig.parse_secret(source.type, {key: base64.b64decode(v) for key, v in source.data.items()})
    except SourceError as error:
        return Problem("SourceInvalid", f"Secret {mapping.copy_from} can't be used: {error}")
    entries = dockerconfig.usable_entries(config, mapping.registries)
    if not entries:
        has = ", ".join(entry.key for entry in config.entries) or "none at all"
        ignored = f"; ignored: {'; '.join(config.ignored)}" if config.ignored else ""
        return Problem(
            "SourceUnusable",
            f"Secret {mapping.copy_from} has no credentials for {', '.join(mapping.registries)}; "
            f"it has: {has}{ignored}",
        )
    value = dockerconfig.render(entries, config.type)
    return Usable(Content(config.type, DATA_KEYS[config.type], value), config.ignored)
