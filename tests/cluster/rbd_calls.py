"""What rbd does for common words, by librbd: each start of the program takes a sixth of a second of a core.

Words that are not known here are run by rbd itself.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rbd

from tests.cluster import ceph_admin

_UNITS = {"B": 0, "K": 10, "M": 20, "G": 30}
_FEATURES = {
    "layering": rbd.RBD_FEATURE_LAYERING,
    "striping": rbd.RBD_FEATURE_STRIPINGV2,
    "exclusive-lock": rbd.RBD_FEATURE_EXCLUSIVE_LOCK,
    "object-map": rbd.RBD_FEATURE_OBJECT_MAP,
    "fast-diff": rbd.RBD_FEATURE_FAST_DIFF,
    "deep-flatten": rbd.RBD_FEATURE_DEEP_FLATTEN,
    "journaling": rbd.RBD_FEATURE_JOURNALING,
    "data-pool": rbd.RBD_FEATURE_DATA_POOL,
}
# By the words of a command: those that follow, and the options that it needs and may have.
_SHAPES = {
    "create": (1, {"--size"}, set[str]()),
    "info": (1, {"--format"}, set[str]()),
    "ls": (1, set[str](), {"--format"}),
    "rm": (1, set[str](), set[str]()),
    "rename": (2, set[str](), set[str]()),
    "namespace create": (1, set[str](), set[str]()),
    "image-meta set": (3, set[str](), set[str]()),
    "image-meta remove": (2, set[str](), set[str]()),
    "image-meta list": (1, {"--format"}, set[str]()),
    "snap create": (1, set[str](), set[str]()),
    "snap rm": (1, set[str](), set[str]()),
    "snap protect": (1, set[str](), set[str]()),
    "snap unprotect": (1, set[str](), set[str]()),
    "trash ls": (1, set[str](), {"--format"}),
    "trash mv": (1, set[str](), set[str]()),
}


def called(conf: Path, words: Sequence[str]) -> str | None:
    """Do what `rbd` with these words does, and return what it prints; None for what only rbd knows.

    Raises:
        ClusterError: with the command and the error of librbd.
    """
    parsed = _parsed(words)
    if parsed is None:
        return None
    command, named, options = parsed
    path, *rest = named
    pool, _, image = path.partition("/")
    namespace = image if command in {"ls", "trash ls"} else image.rpartition("/")[0]
    image, _, snapshot = image.rpartition("/")[2].partition("@")
    with ceph_admin.connected(conf, f"rbd {' '.join(words)}") as cluster, cluster.open_ioctx(pool) as ioctx:
        ioctx.set_namespace(namespace)
        match command:
            case "create":
                size = options["--size"]
                rbd.RBD().create(ioctx, image, int(size[:-1]) << _UNITS[size[-1]], old_format=False)
            case "ls":
                return _shown(sorted(rbd.RBD().list(ioctx)), options)
            case "rm":
                rbd.RBD().remove(ioctx, image)
            case "rename":
                rbd.RBD().rename(ioctx, image, rest[0].rpartition("/")[2])
            case "namespace create":
                rbd.RBD().namespace_create(ioctx, image)
            case "trash mv":
                rbd.RBD().trash_move(ioctx, image)
            case "trash ls":
                entries = [one for one in rbd.RBD().trash_list(ioctx) if one["source"] == "USER"]
                return _shown([{"id": one["id"], "name": one["name"]} for one in entries], options)
            case _:
                with rbd.Image(ioctx, image, read_only=command in {"info", "image-meta list"}) as opened:
                    return _of_image(opened, command, [snapshot] if snapshot else rest)
    return ""


def _parsed(words: Sequence[str]) -> tuple[str, list[str], dict[str, str]] | None:
    """The command, the words that follow, and the options."""
    named, options = [], {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in {"--size", "--format"}:
            options[name] = value if equals else next(rest)
        elif word.startswith("-") or not word.isprintable():
            return None
        else:
            named.append(word)
    for length in (1, 2):
        command = " ".join(named[:length])
        if command in _SHAPES:
            count, needed, possible = _SHAPES[command]
            fits = len(named) == length + count and needed <= options.keys() <= needed | possible
            known = options.get("--format", "json") == "json" and options.get("--size", "1M")[-1] in _UNITS
            return (command, named[length:], options) if fits and known else None
    return None


def _of_image(image: Any, command: str, given: Sequence[str]) -> str:
    match command:
        case "info":
            bits = image.features()
            features = [name for name, bit in _FEATURES.items() if bits & bit]
            found = {"name": image.get_name(), "id": image.id(), "size": image.size(), "features": features}
            with contextlib.suppress(rbd.ImageNotFound):
                found["parent"] = dict(zip(("pool", "image", "snapshot"), image.parent_info(), strict=True))
            return json.dumps(found)
        case "image-meta list":
            return json.dumps(dict(image.metadata_list()))
        case "image-meta set":
            image.metadata_set(*given)
        case "image-meta remove":
            image.metadata_remove(*given)
        case "snap create":
            image.create_snap(*given)
        case "snap rm":
            image.remove_snap(*given)
        case "snap protect":
            image.protect_snap(*given)
        case "snap unprotect":
            image.unprotect_snap(*given)
    return ""


def _shown(found: Sequence[Any], options: dict[str, str]) -> str:
    if options:
        return json.dumps(found)
    return "".join(f"{one if isinstance(one, str) else ' '.join(one.values())}\n" for one in found)
