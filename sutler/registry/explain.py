"""Why an image gets its credentials: the order in which the kubelet tries them, and near misses. Pure: no I/O.

A near miss is a key or a registry that does not match an image, but would with a small change. The possible changes are
a table of repairs; whether a repaired text matches is decided by the real matchers, so that there is only one set of
rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby

from sutler.registry.image import ImageReference
from sutler.registry.keyring import IgnoredKeyError, Keyring, parse_key
from sutler.registry.mapping import Mapping
from sutler.registry.near_miss import REPAIRS, RegistryParts, repaired, split
from sutler.registry.pattern import Pattern, PatternError, parse_pattern

Matches = Callable[[str, ImageReference], bool]


@dataclass(frozen=True, slots=True)
class NearMiss:
    text: str
    """The key or the registry, as written by the user."""
    why: str
    write: str
    """The correct text; it may be empty if the image is wrong and not the text."""
    elsewhere: bool = False
    """Whether only the path differs, which is usually intended."""


@dataclass(frozen=True, slots=True)
class CredentialTry:
    """One credential that the kubelet sends."""

    key: str
    secret: str
    fallback: bool
    """Whether it is Docker Hub's own key, which is used only if no other key matches."""
    note: str
    """Why this key matches although that may be unexpected; usually empty."""


def tries(image: ImageReference, secrets: Sequence[tuple[str, Sequence[str]]]) -> list[CredentialTry]:
    """The credentials in the kubelet's order. `secrets` are names and keys, in the order of imagePullSecrets."""
    found = Keyring(key for _, keys in secrets for key in keys).lookup(image.name)
    order: list[CredentialTry] = []
    for _, group in groupby(found, key=lambda key: parse_key(key).normal):
        same = list(group)
        # Keys that mean the same are tried in the order of their Secrets.
        order += [_try(key, name, image) for name, keys in secrets for key in same if key in keys]
    return order


def matching_pattern(mapping: Mapping, image: ImageReference) -> Pattern | None:
    """The most specific of the mapping's registries that match the image."""
    return min(
        (each for each in mapping.patterns if each.matches(image)), key=lambda each: each.vagueness, default=None
    )


def near_miss_of_registry(text: str, image: ImageReference) -> NearMiss | None:
    """The near miss of an entry of a mapping's `registries`, which may be invalid."""
    miss = _near_miss(text, image, registry_matches)
    try:
        parse_pattern(text)
    except PatternError as error:
        return miss and replace(miss, why=str(error))
    return miss


def near_miss_of_key(text: str, image: ImageReference) -> NearMiss | None:
    """The near miss of a key of a docker config that the kubelet does not try for the image."""
    if _is_fallback(text):
        # The kubelet would try it without a better one.
        return None
    return _near_miss(text, image, _key_matches)


def registry_matches(text: str, image: ImageReference) -> bool:
    """Whether an entry of a mapping's `registries` matches the image; an invalid entry matches none."""
    try:
        return parse_pattern(text).matches(image)
    except PatternError:
        return False


def _key_matches(text: str, image: ImageReference) -> bool:
    return bool(Keyring([text]).lookup(image.name))


def _try(key: str, secret: str, image: ImageReference) -> CredentialTry:
    parsed = parse_key(key)
    path = parsed.path.decode(errors="replace")
    rest = f"/{image.path}"[len(path) :]
    note = ""
    if path and not path.endswith("/") and rest and not rest.startswith("/"):
        note = (
            f"the kubelet compares plain text, so this key also matches longer names with this beginning; "
            f"{key}/ matches up to the slash only"
        )
    return CredentialTry(key, secret, parsed.is_fallback, note)


def _is_fallback(key: str) -> bool:
    try:
        return parse_key(key).is_fallback
    except IgnoredKeyError:
        return False


def _near_miss(text: str, image: ImageReference, matches: Matches) -> NearMiss | None:
    if matches(text, image):
        return None
    parts, target = split(text.strip()), split(image.name)
    # First all repairs together: if they do not help, no selection of them does.
    whole, _ = repaired(parts, target, REPAIRS)
    if matches(str(whole), image):
        return _smallest_repair(text, image, matches)
    if matches(str(whole._replace(path="")), image):
        return _sibling(text, whole, target)
    lowered = image._replace(domain=image.domain.lower())
    if matches(text, lowered):
        why = f"hosts are compared case-sensitively: write {lowered.domain}, not {image.domain}, in the image"
        return NearMiss(text, why, "")
    return None


def _smallest_repair(text: str, image: ImageReference, matches: Matches) -> NearMiss:
    """Find the fewest repairs that help; all of them together do."""
    parts, target = split(text.strip()), split(image.name)
    possible = [repair for repair in REPAIRS if repair(parts, target)]
    attempts = (
        repaired(parts, target, some) for count in range(len(possible)) for some in combinations(possible, count)
    )
    enough = (attempt for attempt in attempts if matches(str(attempt[0]), image))
    corrected, reasons = next(enough, None) or repaired(parts, target, REPAIRS)
    space = ["there is white space around it"] if text != text.strip() else []
    return NearMiss(text, "; ".join([*space, *reasons]), str(corrected))


def _sibling(text: str, parts: RegistryParts, target: RegistryParts) -> NearMiss:
    """A near miss with the right registry and another path."""
    written, wanted = parts.path.strip("/").split("/"), target.path.strip("/").split("/")
    common = []
    for one, other in zip(written, wanted, strict=False):
        if one != other:
            break
        common.append(one)
    where = str(target._replace(path="/" + "/".join(wanted[: len(common) + 1])))
    write = str(parts._replace(path="/" + "/".join(common))) if common else ""
    return NearMiss(text, f"it matches another path of the registry, not {where}", write, elsewhere=True)
