"""Fields of an object that the server has dropped or changed. Pure: no I/O."""

from typing import Any


def pruned_fields(given: Any, kept: Any, path: str = "") -> list[str]:
    """Return the paths of fields that are missing or have another value; fields that the server added do not count."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [
            one
            for key, value in given.items()
            for one in pruned_fields(value, kept.get(key), f"{path}.{key}" if path else key)
        ]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        pairs = enumerate(zip(given, kept, strict=True))
        return [one for index, (left, right) in pairs for one in pruned_fields(left, right, f"{path}[{index}]")]
    # An empty map or list equals a missing one.
    return [] if given == kept or (not given and not kept) else [path]
