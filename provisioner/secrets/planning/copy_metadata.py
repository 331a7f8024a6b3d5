"""Labels and annotations that a mapping puts on its copies, and takes off again. Pure.

What was put is recorded on the copy itself. Without that, a label that the mapping no longer has would look like
one that another person set.
"""

import json
from collections.abc import Mapping

from sutler import well_known
from sutler.typedefs import Json

_FIELDS = ("annotations", "labels")

Pairs = tuple[tuple[str, str], ...]


def record_of(labels: Pairs, annotations: Pairs) -> str:
    """The same for the same pairs in any order; empty for none."""
    if not labels and not annotations:
        return ""
    document = {"annotations": dict(annotations), "labels": dict(labels)}
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def parse_record(record: str) -> dict[str, dict[str, str]]:
    """Empty for what is no record."""
    try:
        found = json.loads(record) if record else {}
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {field: found[field] for field in _FIELDS if isinstance(found.get(field), dict)}


def is_intact(record: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> bool:
    """Whether all that was put is there still, as it was put."""
    put = parse_record(record)
    there = {"labels": labels, "annotations": annotations}
    return all(there[field].get(key) == value for field, pairs in put.items() for key, value in pairs.items())


def metadata_patch(before: str, after: str) -> list[Json]:
    """RFC 6902, for a copy that has labels and annotations. Others' keys are left alone."""
    old, new = parse_record(before), parse_record(after)
    operations: list[Json] = []
    for field in _FIELDS:
        for key in old.get(field, {}).keys() - new.get(field, {}).keys():
            path = f"/metadata/{field}/{pointer(key)}"
            # It may have been taken off by hand, and `remove` alone would be refused then.
            operations += [{"op": "add", "path": path, "value": ""}, {"op": "remove", "path": path}]
        for key, value in new.get(field, {}).items():
            operations.append({"op": "add", "path": f"/metadata/{field}/{pointer(key)}", "value": value})
    path = f"/metadata/annotations/{pointer(well_known.COPY_METADATA)}"
    if after:
        operations.append({"op": "add", "path": path, "value": after})
    elif before:
        operations += [{"op": "add", "path": path, "value": ""}, {"op": "remove", "path": path}]
    return operations


def pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
