"""Writes trees as templates of Helm. Pure: no I/O."""

import math
import re
from collections.abc import Iterator
from itertools import groupby

import yaml

from tests.chart.tree import Block, Field, Inline, Map, Node, Seq, negated, parenthesized

NAMESPACE = "sutler-system"
"""What the manifests call Sutler's own namespace; in the chart it is the release's."""
_STEP = 2
_LONGEST = 100
_ACTION = re.compile(r"\{\{.*?\}\}")


def emit(node: Node, indent: int = 0) -> str:
    return "".join(f"{line}\n" for line in _lines(node, indent))


def conditional(conditions: list[str], body: str) -> str:
    """The body where all conditions hold."""
    return f"{{{{- if {conjunction(conditions)} }}}}\n{body}{{{{- end }}}}\n" if conditions else body


def conjunction(conditions: list[str]) -> str:
    unique = list(dict.fromkeys(conditions))
    return unique[0] if len(unique) == 1 else f"and {' '.join(map(parenthesized, unique))}"


def _lines(node: Node, indent: int) -> list[str]:
    if isinstance(node, Map):
        return _grouped(node.fields, indent)
    if isinstance(node, Seq):
        return _grouped(node.items, indent)
    if isinstance(node, Block):
        return _block(node, indent)
    return [" " * indent + _scalar(node, indent)]


def _grouped(fields: list[Field], indent: int) -> list[str]:
    """Neighbours that depend on the same share a block, and its opposite is its else."""
    result: list[str] = []
    margin = " " * indent
    groups = [(key, list(each)) for key, each in groupby(fields, _presence)]
    previous: tuple[str, ...] = ()
    for conditions, members in groups:
        body = [line for one in members for line in _field(one, indent)]
        if conditions and previous and _opposite(previous, conditions):
            result[-1:] = [f"{margin}{{{{- else }}}}", *body, f"{margin}{{{{- end }}}}"]
            previous = ()
        elif conditions:
            result += [f"{margin}{{{{- if {conjunction(list(conditions))} }}}}", *body, f"{margin}{{{{- end }}}}"]
            previous = conditions
        else:
            result += body
            previous = ()
    return result


def _opposite(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(one) == len(other) == 1 and (negated(one[0]) == other[0] or negated(other[0]) == one[0])


def _presence(one: Field) -> tuple[str, ...]:
    """What the field depends on. A container is there with any of its parts."""
    conditions = list(one.conditions)
    parts = one.value.fields if isinstance(one.value, Map) else one.value.items if isinstance(one.value, Seq) else []
    inner = [_presence(part) for part in parts]
    always = any(_opposite(first, second) for first in inner for second in inner)
    if inner and all(inner) and not always:
        either = dict.fromkeys(conjunction(list(each)) for each in inner)
        conditions.append(next(iter(either)) if len(either) == 1 else f"or {' '.join(map(parenthesized, either))}")
    return tuple(conditions)


def _field(one: Field, indent: int) -> Iterator[str]:
    margin = " " * indent
    if isinstance(one.value, Block) and not one.key:
        yield from _block(one.value, indent)
    elif one.key:
        yield from _keyed(margin, one.key, one.value, indent)
    elif isinstance(one.value, Map) and one.value.fields:
        first, *rest = _lines(one.value, indent + _STEP)
        yield f"{margin}- {first[indent + _STEP :]}"
        yield from rest
    else:
        yield f"{margin}- {_scalar(one.value, indent + _STEP)}"


def _keyed(margin: str, key: str, value: Node, indent: int) -> Iterator[str]:
    name = _scalar(key, indent)
    if isinstance(value, Block):
        yield f"{margin}{name}:"
        yield from _block(value, indent + _STEP)
    elif isinstance(value, Map) and value.fields:
        yield f"{margin}{name}:"
        yield from _lines(value, indent + _STEP)
    elif isinstance(value, Seq) and value.items and (flow := _flow(value)) is None:
        yield f"{margin}{name}:"
        yield from _lines(value, indent)
    else:
        yield f"{margin}{name}: {flow if isinstance(value, Seq) and value.items else _scalar(value, indent + _STEP)}"


def _flow(value: Seq) -> str | None:
    """A short list of plain scalars on one line."""
    if any(one.conditions or not isinstance(one.value, str | int) for one in value.items):
        return None
    text = ", ".join(_scalar(one.value, 0) for one in value.items)
    plain = not any(isinstance(one.value, str) and re.search(r"[,{}\[\]\n]", one.value) for one in value.items)
    return f"[{text}]" if plain and len(text) <= _LONGEST else None


def _block(block: Block, indent: int) -> list[str]:
    return [" " * indent + line.replace("INDENT", str(indent)) for line in block.text.splitlines()]


def _scalar(value: Node, indent: int) -> str:
    if isinstance(value, Inline):
        return value.text
    if isinstance(value, Map):
        return "{}"
    if isinstance(value, Seq):
        return "[]"
    if value == NAMESPACE:
        return "{{ .Release.Namespace | quote }}"
    if isinstance(value, str) and "\n" in value:
        literal = "".join(f"\n{' ' * indent}{line}" if line else "\n" for line in value.splitlines())
        return ("|" if value.endswith("\n") else "|-") + _templated(literal)
    text: str = yaml.safe_dump(value, width=math.inf, allow_unicode=True).removesuffix("\n").removesuffix("\n...")
    return _templated(text)


def _templated(text: str) -> str:
    """With actions of other template languages, such as those of alerts, as they are."""
    quoted = _ACTION.sub(lambda found: "{{ " + f"`{found[0]}`" + " }}", text)
    return quoted.replace(NAMESPACE, "{{ .Release.Namespace }}")
