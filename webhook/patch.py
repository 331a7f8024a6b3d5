"""The JSON Patch that adds pull secrets. It always applies, and touches nothing but /spec/imagePullSecrets."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

_FIELD = "/spec/imagePullSecrets"


def add_secrets(existing: Sequence[object] | None, names: tuple[str, ...]) -> bytes:
    """RFC 6902: what the Pod has stays as it is, the names come after it.

    An `add` of the whole field replaces null and an empty list as well as it makes the field; `/-` needs a list.
    """
    return _append(names) if existing else _create(names)


@lru_cache(maxsize=1024)
def _create(names: tuple[str, ...]) -> bytes:
    return msgspec.json.encode([{"op": "add", "path": _FIELD, "value": [{"name": name} for name in names]}])


@lru_cache(maxsize=1024)
def _append(names: tuple[str, ...]) -> bytes:
    return msgspec.json.encode([{"op": "add", "path": f"{_FIELD}/-", "value": {"name": name}} for name in names])
