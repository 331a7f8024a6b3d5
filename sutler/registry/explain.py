"""Why an image gets the credentials that it gets: the order in which the kubelet tries them, and near misses.

A near miss is a key or a registry that does not match an image, but would if it were written a little differently. What
"differently" can be is a table of repairs; whether a repaired text matches is asked of the real matchers, so that there
is no second set of rules here.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby
from typing import NamedTuple

from sutler.registry.image import DOCKER_HUB, DOCKER_INDEX, Image
from sutler.registry.keyring import IgnoredKeyError, Keyring, parse_key
from sutler.registry.mapping import Mapping
from sutler.registry.pattern import Pattern, PatternError, parse_pattern

_HUB_NAMES = frozenset(
    (DOCKER_INDEX, "registry-1.docker.io", "registry.docker.io", "registry.hub.docker.com", "hub.docker.com")
)
_LIBRARY = "library/"
_written = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(\[[^\]]*\]|[^/:]*)(?::([^/]*))?(/.*)?", re.DOTALL).fullmatch
_tag = re.compile(r"(?<=[^/])[:@].*").search
_glob = re.compile(r"/[^/]*[*?\[].*").search

Matches = Callable[[str, Image], bool]


@dataclass(frozen=True, slots=True)
class NearMiss:
    text: str
    """The key or the registry as it is written."""
    why: str
    write: str
    """What to write instead; empty where it is right, but for something else."""


@dataclass(frozen=True, slots=True)
class Try:
    """One credential that the kubelet sends."""

    key: str
    secret: str
    fallback: bool
    """Docker Hub's own key, which counts only because no other key matches."""
    note: str
    """Why it may surprise that this key matches; mostly empty."""


class Parts(NamedTuple):
    """A key or a registry as a person sees it."""

    scheme: str
    host: str
    port: str
    path: str
    """Empty, or with its leading slash."""

    def __str__(self) -> str:
        scheme = self.scheme or ("https" if self.host == DOCKER_INDEX else "")
        return f"{f'{scheme}://' if scheme else ''}{self.host}{f':{self.port}' if self.port else ''}{self.path}"


def tries(image: Image, secrets: Sequence[tuple[str, Sequence[str]]]) -> list[Try]:
    """What the kubelet sends, in its order. `secrets` are names and keys, in the order of imagePullSecrets."""
    found = Keyring(key for _, keys in secrets for key in keys).lookup(image.name)
    order: list[Try] = []
    for _, group in groupby(found, key=lambda key: parse_key(key).normal):
        same = list(group)
        # Keys that mean the same are tried in the order of their Secrets.
        order += [_try(key, name, image) for name, keys in secrets for key in same if key in keys]
    return order


def matching_pattern(mapping: Mapping, image: Image) -> Pattern | None:
    """The most specific of the mapping's registries that match the image."""
    return min(
        (each for each in mapping.patterns if each.matches(image)), key=lambda each: each.vagueness, default=None
    )


def near_miss_of_registry(text: str, image: Image) -> NearMiss | None:
    """For an entry of a mapping's `registries` that does not match the image; it may be one that nobody can use."""
    miss = _near_miss(text, image, _registry_matches)
    try:
        parse_pattern(text)
    except PatternError as error:
        return miss and replace(miss, why=str(error))
    return miss


def near_miss_of_key(text: str, image: Image) -> NearMiss | None:
    """For a key of a docker config that the kubelet does not try for the image."""
    if _is_fallback(text):
        # It would be tried, were there no better one.
        return None
    return _near_miss(text, image, _key_matches)


def _registry_matches(text: str, image: Image) -> bool:
    try:
        return parse_pattern(text).matches(image)
    except PatternError:
        return False


def _key_matches(text: str, image: Image) -> bool:
    return bool(Keyring([text]).lookup(image.name))


def _try(key: str, secret: str, image: Image) -> Try:
    parsed = parse_key(key)
    path = parsed.path.decode(errors="replace")
    rest = f"/{image.path}"[len(path) :]
    note = ""
    if path and not path.endswith("/") and rest and not rest.startswith("/"):
        note = (
            f"the kubelet compares plain text, so this key is also for what merely begins like it; "
            f"{key}/ ends at the slash"
        )
    return Try(key, secret, parsed.is_fallback, note)


def _is_fallback(key: str) -> bool:
    try:
        return parse_key(key).is_fallback
    except IgnoredKeyError:
        return False


def _near_miss(text: str, image: Image, matches: Matches) -> NearMiss | None:
    if matches(text, image):
        return None
    parts, target = _split(text.strip()), _split(image.name)
    # All at once first: where even that does not help there is nothing to look for.
    whole, _ = _repaired(parts, target, _REPAIRS)
    if matches(str(whole), image):
        return _smallest_repair(text, image, matches)
    if matches(str(whole._replace(path="")), image):
        return _sibling(text, whole, target)
    lowered = image._replace(domain=image.domain.lower())
    if matches(text, lowered):
        why = f"hosts are compared as they are written: write {lowered.domain}, not {image.domain}, in the image"
        return NearMiss(text, why, "")
    return None


def _smallest_repair(text: str, image: Image, matches: Matches) -> NearMiss:
    """All repairs together are known to help; find the fewest that do."""
    parts, target = _split(text.strip()), _split(image.name)
    possible = [repair for repair in _REPAIRS if repair(parts, target)]
    attempts = (
        _repaired(parts, target, some) for count in range(len(possible)) for some in combinations(possible, count)
    )
    enough = (attempt for attempt in attempts if matches(str(attempt[0]), image))
    repaired, reasons = next(enough, None) or _repaired(parts, target, _REPAIRS)
    space = ["there is white space around it"] if text != text.strip() else []
    return NearMiss(text, "; ".join([*space, *reasons]), str(repaired))


def _repaired(parts: Parts, target: Parts, repairs: "Sequence[_Repair]") -> tuple[Parts, list[str]]:
    reasons = []
    for repair in repairs:
        change = repair(parts, target)
        if change:
            parts, why = change
            reasons.append(why)
    return parts, reasons


def _sibling(text: str, parts: Parts, target: Parts) -> NearMiss:
    """The right registry, another path."""
    mine, theirs = parts.path.strip("/").split("/"), target.path.strip("/").split("/")
    common = []
    for one, other in zip(mine, theirs, strict=False):
        if one != other:
            break
        common.append(one)
    where = str(target._replace(path="/" + "/".join(theirs[: len(common) + 1])))
    write = str(parts._replace(path="/" + "/".join(common))) if common else ""
    return NearMiss(text, f"it is for another path of the registry, not for {where}", write)


def _split(text: str) -> Parts:
    found = _written(text)
    scheme, host, port, path = found.groups("") if found else ("", text, "", "")
    return Parts(scheme, host, port, path)


_Change = tuple[Parts, str] | None
_Repair = Callable[[Parts, Parts], _Change]
"""From what is written and the image's name to what may have been meant, and what was wrong; None: nothing to do."""


def _scheme(parts: Parts, target: Parts) -> _Change:
    del target
    if not parts.scheme:
        return None
    return parts._replace(scheme=""), f"{parts.scheme}:// must not be in front"


def _host_case(parts: Parts, target: Parts) -> _Change:
    del target
    if parts.host == parts.host.lower():
        return None
    return parts._replace(host=parts.host.lower()), "hosts are compared as they are written, and images have lower case"


def _hub(parts: Parts, target: Parts) -> _Change:
    if target.host != DOCKER_HUB or parts.host not in _HUB_NAMES:
        return None
    why = f"Docker Hub's images are matched as {DOCKER_HUB}, not as {parts.host}"
    return parts._replace(host=DOCKER_HUB, port=""), why


def _port(parts: Parts, target: Parts) -> _Change:
    if parts.port == target.port:
        return None
    if {parts.port, target.port} == {"", "443"}:
        why = "no port and :443 are not the same to the kubelet"
    elif not target.port:
        why = f"the image names no port, this names {parts.port}"
    else:
        why = f"the image names port {target.port}, this " + (f"port {parts.port}" if parts.port else "none")
    return parts._replace(port=target.port), why


def _depth(parts: Parts, target: Parts) -> _Change:
    """`*.example.com` is one label deep."""
    globs = parts.host.split(".")
    fixed = [label for label in globs if label != "*"]
    labels = target.host.split(".")
    if len(globs) == len(fixed) or len(globs) == len(labels) or len(fixed) > len(labels):
        return None
    host = ".".join(["*"] * (len(labels) - len(fixed)) + fixed)
    return parts._replace(host=host), "a * stands for exactly one part of the host between dots"


def _path_case(parts: Parts, target: Parts) -> _Change:
    del target
    if parts.path == parts.path.lower():
        return None
    return parts._replace(path=parts.path.lower()), "paths are compared as they are written, and images have lower case"


def _path_glob(parts: Parts, target: Parts) -> _Change:
    del target
    if not _glob(parts.path):
        return None
    why = "globs work in the host only; a path covers everything below it anyway"
    return parts._replace(path=re.sub(r"/[^/]*[*?\[].*", "", parts.path, count=1, flags=re.DOTALL)), why


def _tagged(parts: Parts, target: Parts) -> _Change:
    del target
    found = _tag(parts.path)
    if not found:
        return None
    return parts._replace(path=parts.path[: found.start()]), "tags and digests don't count and must not be there"


def _slash(parts: Parts, target: Parts) -> _Change:
    del target
    if not parts.path.rstrip("/") or not parts.path.endswith("/"):
        return None
    return parts._replace(path=parts.path.rstrip("/")), "with the slash at its end it is only for what is below"


def _version(parts: Parts, target: Parts) -> _Change:
    del target
    if parts.path not in {"/v1", "/v2"}:
        return None
    return parts._replace(path=f"{parts.path}/"), f"only with a slash at its end is {parts.path}/ left out of account"


def _library(parts: Parts, target: Parts) -> _Change:
    path = target.path.removeprefix("/")
    if target.host != DOCKER_HUB or not path.startswith(_LIBRARY) or parts.path != path.removeprefix("library"):
        return None
    return parts._replace(path=f"/{path}"), f"official images are under {DOCKER_HUB}/library"


_REPAIRS: tuple[_Repair, ...] = (
    _scheme,
    _host_case,
    _hub,
    _port,
    _depth,
    _path_case,
    _path_glob,
    _tagged,
    _slash,
    _version,
    _library,
)
