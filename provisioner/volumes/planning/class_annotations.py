"""The annotations of a StorageClass that are meant for us: pure. None of them is passed over in silence.

What is mistaken here costs data: with a deletion policy that is not read, images go at once.
"""

import difflib
from collections.abc import Container, Iterable, Mapping

from sutler.typedefs import Json
from sutler.volumes.storage_class import unclear_annotation
from sutler.volumes.well_known import PREFIX, PROVISION

MUTABLE = (
    "deletionPolicy",
    "trashDelay",
    "imageFeatures",
    "imageNameTemplate",
    "mounter",
    "mapOptions",
    "unmapOptions",
)
"""Parameters that may be given, and overridden, as annotations."""

_CLOSE = 0.75
"""How alike a name must be to one of ours to be taken for a slip: a hint that is wrong does harm."""
_OURS = PREFIX.rstrip("/").split(".")


def read(obj: Json, parameters: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The mutable parameters that annotations give, and what is wrong with annotations and labels.

    A name may be written as volumes have it, too (deletion-policy). `parameters`: all that a class may have.
    """
    metadata = obj["metadata"]
    exact = {_plain(name): name for name in MUTABLE}
    known = {_plain(name): name for name in parameters}
    given: dict[str, str] = {}
    problems = list(filter(None, [unclear_annotation(obj)]))
    for key, value in _ours(metadata.get("annotations") or {}, exact):
        plain = _plain(key.rpartition("/")[2])
        name = exact.get(plain)
        if key.lower() == PROVISION:
            continue
        if name is None or not key.lower().startswith(PREFIX):
            problems.append(_unknown(key, name or known.get(plain)))
        elif given.setdefault(name, value) != value:
            problems.append(f"annotation {PREFIX}{name} is there twice, in two spellings: take one of them off")
    for key, _ in _ours(metadata.get("labels") or {}, exact):
        name = exact.get(_plain(key.rpartition("/")[2]))
        if name is not None:
            problems.append(f"label {key} has no effect: write it as an annotation, {PREFIX}{name}")
    return given, problems


def _ours(keys: Mapping[str, str], exact: Container[str]) -> list[tuple[str, str]]:
    """Under our prefix; or meant to be: a name of ours under no prefix, or under another one that names us."""
    found = []
    for key, value in sorted(keys.items()):
        prefix, _, name = key.rpartition("/")
        parts = prefix.lower().split(".")
        if parts[-2:] == _OURS or (_plain(name) in exact and (not prefix or _OURS[0] in parts)):
            found.append((key, value))
    return found


def _unknown(key: str, name: str | None) -> str:
    if name in MUTABLE:
        return f"annotation {key} is not known: write {PREFIX}{name}"
    if name is not None:
        return f"annotation {key}: {name} can't be changed by an annotation; write it under parameters, in a new class"
    last = key.partition("/")[2]
    names = {_plain(one): one for one in (*MUTABLE, "provision")}
    close = difflib.get_close_matches(_plain(last), names, n=1, cutoff=_CLOSE)
    hint = f"write {PREFIX}{names[close[0]]}, or take" if close else "take"
    more = "" if close else f"; known are {', '.join(sorted(names.values()))}"
    return f"annotation {key} is not known: {hint} it off{more}"


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
