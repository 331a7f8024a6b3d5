"""What a server kept of an object that it was given: pure."""

from typing import Any


def lost(given: Any, kept: Any, path: str = "") -> list[str]:
    """Paths of what was given and is not there, or is another value; what the server added does not count."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [
            one for key, value in given.items() for one in lost(value, kept.get(key), f"{path}.{key}" if path else key)
        ]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        pairs = enumerate(zip(given, kept, strict=True))
        return [one for index, (left, right) in pairs for one in lost(left, right, f"{path}[{index}]")]
    # An empty map or list is as good as none.
    return [] if given == kept or (not given and not kept) else [path]
