"""Kinds of values: JSON schemas of what users can set. Pure: no I/O."""

from typing import Any

Json = dict[str, Any]

BOOLEAN: Json = {"type": "boolean"}
TEXT: Json = {"type": "string"}
TEXTS: Json = {"type": "object", "additionalProperties": TEXT}
LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
NAMESPACES: Json = {"type": "array", "items": {"type": "string", "pattern": f"^{LABEL}$"}, "uniqueItems": True}
HOST_NAMES: Json = {"type": "array", "items": {"type": "string", "pattern": rf"^(\*\.)?{LABEL}(\.{LABEL})*$"}}
NAME: Json = {"type": "string", "pattern": rf"^{LABEL}(\.{LABEL})*$"}
NAME_OR_NONE: Json = {"type": "string", "pattern": rf"^({LABEL}(\.{LABEL})*)?$"}
COUNT: Json = {"type": "integer", "minimum": 0}
PORTS: Json = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1, "maximum": 65535}}
DIGEST: Json = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
TAG: Json = {"type": "string", "pattern": r"^([\w][\w.-]{0,127})?$"}


def one_of(*words: str) -> Json:
    return {"type": "string", "enum": list(words)}


def fields(*required: str, **properties: Json) -> Json:
    """An object with these properties and no others."""
    must = {"required": list(required)} if required else {}
    return {"type": "object", "additionalProperties": False, "properties": properties, **must}


def items(item: Json) -> Json:
    return {"type": "array", "items": item}


def flags(names: list[str]) -> Json:
    """Arguments: one of these flags, with its value behind `=` or as the next argument."""
    return items({"type": "string", "pattern": rf"^(--({'|'.join(names)})(=.*)?|[^-].*)$"})


_QUANTITIES: Json = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
RESOURCES = fields(requests=_QUANTITIES, limits=_QUANTITIES)
PULL_SECRETS = items(fields("name", name=NAME))
TOLERATIONS = items(
    fields(
        key=TEXT,
        operator=one_of("Exists", "Equal", "Lt", "Gt"),
        value=TEXT,
        effect=one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
        tolerationSeconds={"type": "integer"},
    )
)
_ANY: Json = {"type": "object"}
AFFINITY = fields(nodeAffinity=_ANY, podAffinity=_ANY, podAntiAffinity=_ANY)
ENVIRONMENT = items(fields("name", name=TEXT, value=TEXT, valueFrom=_ANY))
VOLUMES = items({"type": "object", "required": ["name"]})
MOUNTS = items({"type": "object", "required": ["name", "mountPath"]})
CLUSTERS: Json = {
    "type": "object",
    "propertyNames": {"pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"},
    "additionalProperties": NAME,
}
