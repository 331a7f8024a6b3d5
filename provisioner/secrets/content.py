"""From a mapping and its source Secret to what the copies hold. Pure."""

from base64 import b64decode
from dataclasses import dataclass, field

from provisioner.secrets.copies import Content
from sutler.kube.resources import Json
from sutler.registry import dockerconfig
from sutler.registry.dockerconfig import DATA_KEYS, SourceError
from sutler.registry.lacking import lacking, some
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
    """What to copy, what of the source will be of no use to anybody, and what may be of none."""

    content: Content
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def content_of(mapping: Mapping, source: Source | None) -> Usable | Problem:
    """Only the entries that the mapping's registries can use: whoever may read Secrets there reads the copy."""
    if source is None:
        return Problem(
            "SourceMissing",
            f"Secret {mapping.copy_from} is not in Sutler's namespace: create it there, or correct "
            "spec.pullSecret.copyFrom",
        )
    try:
        source_config = dockerconfig.read_secret(source.type, {key: b64decode(v) for key, v in source.data.items()})
        config = dockerconfig.copied(source_config, mapping.registries)
    except SourceError as error:
        return Problem("SourceInvalid", f"Secret {mapping.copy_from} can't be used: {error}")
    if not config.entries:
        why = lacking(source_config, mapping.registries)
        return Problem("SourceUnusable", f"Secret {mapping.copy_from} has no credentials for {why}")
    value = dockerconfig.render(config.entries, config.type)
    notes = (some(config.ignored, "; "),) if config.ignored else ()
    doubts = (some(config.doubts, "; "),) if config.doubts else ()
    return Usable(Content(config.type, DATA_KEYS[config.type], value), notes, doubts)
