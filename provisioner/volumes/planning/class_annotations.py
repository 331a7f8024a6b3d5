"""Parses Sutler's annotations on a StorageClass. Pure: no I/O.

Each mistake is reported, since an annotation that is ignored can cost data: without its deletion policy, images are
deleted at once.
"""

import difflib
from collections.abc import Container, Iterable, Mapping

from sutler.typedefs import Json
from sutler.volumes.limits import METADATA_KEYS
from sutler.volumes.served_classes import unclear_annotation
from sutler.well_known import PREFIX, PROVISION

MUTABLE = (
    "deletionPolicy",
    "trashDelay",
    "flattenPolicy",
    "imageFeatures",
    "imageNameTemplate",
    "mounter",
    "mapOptions",
    "unmapOptions",
    *METADATA_KEYS,
)
"""Parameters that annotations can set and override."""

_SIMILAR = 0.75
"""How similar a name must be to a known one for a hint, from 0 to 1: a wrong hint does harm."""
_DOMAIN = PREFIX.rstrip("/").split(".")


def parse_annotations(obj: Json, parameters: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Returns the mutable parameters that annotations set, and the problems of annotations and labels.

    Names may be written as on volumes, too (deletion-policy). `parameters`: the names of all parameters of a class.
    """
    metadata = obj["metadata"]
    exact = {_plain(name): name for name in MUTABLE}
    known = {_plain(name): name for name in parameters}
    given: dict[str, str] = {}
    problems = list(filter(None, [unclear_annotation(obj)]))
    for key, value in _addressed(metadata.get("annotations") or {}, exact):
        plain = _plain(key.rpartition("/")[2])
        name = exact.get(plain)
        if key.lower() == PROVISION:
            continue
        if name is None or not key.lower().startswith(PREFIX):
            problems.append(_unknown(key, name or known.get(plain)))
        elif given.setdefault(name, value) != value:
            problems.append(f"annotation {PREFIX}{name} is set twice, in two spellings: remove one of them")
    for key, _ in _addressed(metadata.get("labels") or {}, exact):
        name = exact.get(_plain(key.rpartition("/")[2]))
        if name is not None:
            problems.append(f"label {key} has no effect: write it as an annotation, {PREFIX}{name}")
    return given, problems


def _addressed(keys: Mapping[str, str], exact: Container[str]) -> list[tuple[str, str]]:
    """Returns the keys under Sutler's prefix, and known names under none or under one that contains "sutler"."""
    found = []
    for key, value in sorted(keys.items()):
        prefix, _, name = key.rpartition("/")
        parts = prefix.lower().split(".")
        if parts[-2:] == _DOMAIN or (_plain(name) in exact and (not prefix or _DOMAIN[0] in parts)):
            found.append((key, value))
    return found


def _unknown(key: str, name: str | None) -> str:
    if name in MUTABLE:
        return f"annotation {key} is not known: write {PREFIX}{name}"
    if name is not None:
        return f"annotation {key}: {name} can't be changed by an annotation; write it under parameters, in a new class"
    last = key.partition("/")[2]
    names = {_plain(one): one for one in (*MUTABLE, "provision")}
    close = difflib.get_close_matches(_plain(last), names, n=1, cutoff=_SIMILAR)
    hint = f"write {PREFIX}{names[close[0]]}, or remove it" if close else "remove it"
    more = "" if close else f"; known are {', '.join(sorted(names.values()))}"
    return f"annotation {key} is not known: {hint}{more}"


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
