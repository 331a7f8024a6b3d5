"""Why a Secret has no credential for a mapping's registries, in a short text: there may be hundreds. Pure: no I/O."""

from collections.abc import Sequence
from itertools import islice

from sutler.registry.dockerconfig import DockerConfig
from sutler.registry.explain import NearMiss, near_miss_of_key
from sutler.registry.image import DOCKER_HUB, HUB_NAMES, ImageReference
from sutler.registry.key_coverage import RegistryCoverage
from sutler.registry.keyring import IgnoredKeyError, parse_key
from sutler.registry.near_miss import split
from sutler.registry.pattern import Pattern, parse_pattern
from sutler.text import quoted

_NAMED = 3
_COMPARED = 20
"""Pairs of a key and a registry that are compared: this runs in the controller's event loop."""


def missing_text(config: DockerConfig, registries: Sequence[str]) -> str:
    """The end of a sentence about a `config` that has no entry for the registries."""
    text = join_shortened(registries)
    serving = RegistryCoverage.parsed(registries)
    entry = next((each for each in config.left if _is_for(each.key, serving)), None)
    if entry is not None:
        return f"{text}: the kubelet can't use the entry {quoted(entry.key)}: {entry.why}"
    near = near_miss([each.key for each in config.entries], registries)
    if near:
        write = f", write {near.write}" if near.write else ""
        return f"{text}: its key {near.text} is a near miss: {near.why}{write}"
    has = join_shortened([entry.key for entry in config.entries]) or "none at all"
    ignored = f"; ignored: {join_shortened(config.ignored, '; ')}" if config.ignored else ""
    return f"{text}; it has: {has}{ignored}"


def near_miss(keys: Sequence[str], registries: Sequence[str]) -> NearMiss | None:
    """The near miss of the first key that would match one of the registries after a small change."""
    alike: dict[str, list[str]] = {}
    for text in registries:
        alike.setdefault(_about(text), []).append(text)
    pairs = ((key, text) for key in keys for text in alike.get(_about(key), ()))
    for key, text in islice(pairs, _COMPARED):
        image = example(parse_pattern(text))
        near = near_miss_of_key(key, image) if image else None
        if near and not near.elsewhere:
            return near
    return None


def _about(text: str) -> str:
    """The end of the host, which near misses of a registry share."""
    host = split(text.strip()).host.lower().rstrip(".")
    return DOCKER_HUB if host in HUB_NAMES else ".".join(host.split(".")[-2:])


def example(pattern: Pattern) -> ImageReference | None:
    """An image that the pattern matches; None if none is found."""
    domain, _, path = pattern.text.partition("/")
    host = domain.replace("*", "a").replace("?", "a")
    image = ImageReference(host, f"{path}/a" if path else "a/a")
    return image if pattern.matches(image) else None


def join_shortened(texts: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return between.join(texts[:_NAMED]) + more


def _is_for(key: str, serving: RegistryCoverage) -> bool:
    try:
        return serving.served_by(parse_key(key))
    except IgnoredKeyError:
        return False
