"""The page of Sutler's kinds, generated from the schemas of manifests/crds."""

from collections.abc import Iterator
from typing import Any

import yaml

from tests.conftest import REPOSITORY

Json = dict[str, Any]

_CRDS = REPOSITORY / "manifests" / "crds"
_LIMITS = {
    "enum": "one of {}",
    "default": "default {}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} keys",
    "maxProperties": "at most {} keys",
    "maxLength": "at most {} characters",
    "pattern": "matches {}",
}


def kinds() -> str:
    crds = [yaml.load(file.read_text(), yaml.CSafeLoader) for file in sorted(_CRDS.glob("*.yaml"))]
    parts = ["# Kinds\n", "`kubectl explain KIND --recursive` shows the same. Names in bold are required.\n"]
    return "\n".join([*parts, *(part for crd in crds for part in _kind(crd["spec"]))])


def _kind(spec: Json) -> Iterator[str]:
    names = spec["names"]
    for version in spec["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        yield f"## {names['kind']}\n"
        name = f"{spec['group']}/{version['name']}"
        yield f"`apiVersion: {name}`, short name `{names['shortNames'][0]}`, {_scope(spec)}.\n"
        yield f"{_words(schema)}\n"
        for part in ("spec", "status"):
            yield f"### {part} of a {names['kind']}\n"
            yield "| field | type | meaning |\n|---|---|---|"
            yield from _rows(schema["properties"][part], f"{part}.")
            yield ""


def _scope(spec: Json) -> str:
    return "cluster-scoped" if spec["scope"] == "Cluster" else "in a namespace"


def _rows(schema: Json, path: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        shown = f"**`{path}{name}`**" if name in required else f"`{path}{name}`"
        yield f"| {shown} | {_type(field)} | {_meaning(field)} |"
        items = field.get("items", {})
        yield from _rows(field, f"{path}{name}.") if "properties" in field else _rows(items, f"{path}{name}[].")


def _type(field: Json) -> str:
    if field["type"] == "array":
        return f"list of {field['items']['type']}s"
    if field["type"] == "object" and "additionalProperties" in field:
        return f"map of {field['additionalProperties']['type']}s"
    return str(field.get("format", field["type"]))


def _meaning(field: Json) -> str:
    inner = field.get("items") or field.get("additionalProperties") or {}
    found = {**{key: inner[key] for key in ("enum", "pattern", "maxLength") if key in inner}, **field}
    limits = "; ".join(text.format(_value(found[key])) for key, text in _LIMITS.items() if key in found)
    return f"{_words(field)} {limits[:1].upper()}{limits[1:]}{'.' * bool(limits)}".strip()


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return str(value) if type(value) is int else f"`{str(value).replace('|', chr(92) + '|')}`"


def _words(schema: Json) -> str:
    return " ".join(schema.get("description", "").split()).replace("|", "\\|")
