"""Trees of YAML in which fields can depend on conditions of a template. Pure: no I/O."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ADDED = object()
"""Origin of a field that the object without any switch does not have."""


@dataclass
class Inline:
    """A template expression as a scalar."""

    text: str


@dataclass
class Block:
    """Lines of a template, in the place of a mapping's fields or a sequence's items. `INDENT` is their indentation."""

    text: str


@dataclass
class Map:
    fields: list["Field"]

    def __getitem__(self, key: str) -> Any:
        """The value of the key in the object without any switch."""
        return self.field(key).value

    def field(self, key: str) -> "Field":
        (found,) = (one for one in self.fields if one.key == key and one.origin is not ADDED)
        return found

    def put(self, key: str, value: "Node", condition: str = "") -> None:
        """Set the value of a key, which is added if it is not there."""
        there = [one for one in self.fields if one.key == key]
        if there:
            there[0].value = value
        else:
            self.fields.append(Field(value, key, [condition] if condition else []))

    def get(self, key: str, empty: "Node") -> Any:
        """The value of the key, which is added with `empty` if it is not there, and is there with any of its parts."""
        there = [one for one in self.fields if one.key == key]
        if not there:
            self.fields.append(Field(empty, key))
            return empty
        (only,) = there
        for part in only.value.items if isinstance(only.value, Seq) else ():
            part.conditions = [*only.conditions, *part.conditions]
        only.conditions = []
        return only.value


@dataclass
class Seq:
    items: list["Field"]

    def __getitem__(self, index: int) -> Any:
        """The item of the object without any switch."""
        return [one for one in self.items if one.origin is not ADDED][index].value

    def add(self, value: "Node", condition: str = "") -> None:
        self.items.append(Field(value, conditions=[condition] if condition else []))


Node = Map | Seq | Inline | Block | str | int | bool | None


@dataclass
class Field:
    """A field of a mapping or an item of a sequence."""

    value: Node
    key: str = ""
    conditions: list[str] = field(default_factory=list)
    """Expressions of Go templates, all of which must hold."""
    origin: Any = ADDED


def negated(condition: str) -> str:
    if condition.startswith("eq "):
        return f"ne {condition[3:]}"
    return f"not {parenthesized(condition)}"


def parenthesized(condition: str) -> str:
    return f"({condition})" if " " in condition else condition


def parse(value: Any) -> Node:
    """The tree of an object, with nothing that depends on conditions yet."""
    if isinstance(value, dict):
        return Map([Field(parse(each), key, origin=each) for key, each in value.items()])
    if isinstance(value, list):
        return Seq([Field(parse(each), origin=each) for each in value])
    scalar: Node = value
    return scalar


def switch(node: Node, variant: Any, condition: str) -> None:
    """Make the tree that of `variant` where the condition holds, and leave it as it is where it does not."""
    if isinstance(node, Map):
        _switch_map(node, variant, condition)
    elif isinstance(node, Seq):
        _switch_seq(node, variant, condition)
    else:
        raise TypeError(f"{node!r} is no mapping and no sequence")


def _switch_map(node: Map, variant: dict[str, Any], condition: str) -> None:
    known = {one.key for one in node.fields if one.origin is not ADDED}
    result: list[Field] = []
    for one in node.fields:
        result.append(one)
        if one.origin is not ADDED:
            new = [variant[one.key]] if one.key in variant else []
            result += _switch_field(one, new, condition)
    added = [key for key in variant if key not in known]
    node.fields = result + [Field(parse(variant[key]), key, [condition]) for key in added]


def _switch_seq(node: Seq, variant: list[Any], condition: str) -> None:
    result: list[Field] = []
    originals = [one.origin for one in node.items if one.origin is not ADDED]
    pairs = _aligned(originals, variant)
    at = 0
    for one in node.items:
        if one.origin is ADDED:
            result.append(one)
            continue
        while at < len(pairs) and pairs[at][0] is None:
            result.append(Field(parse(pairs[at][1]), conditions=[condition]))
            at += 1
        new = pairs[at][1]
        at += 1
        result.append(one)
        result += _switch_field(one, [] if new is ADDED else [new], condition)
    result += [Field(parse(new), conditions=[condition]) for _, new in pairs[at:]]
    node.items = result


def _switch_field(one: Field, new: list[Any], condition: str) -> Iterator[Field]:
    """`new`: the field's value where the condition holds; empty if it has none."""
    if new and new[0] == one.origin:
        return
    if new and isinstance(one.value, Map | Seq) and type(new[0]) is type(one.origin):
        switch(one.value, new[0], condition)
        return
    one.conditions.append(negated(condition))
    for value in new:
        yield Field(parse(value), one.key, [condition])


def _aligned(old: list[Any], new: list[Any]) -> list[tuple[int | None, Any]]:
    """Each old item's index with its new value, or ADDED where it has none; None with items that are only new."""
    named = all(isinstance(each, dict) and "name" in each for each in (*old, *new))
    keys = [[each["name"] if named else json.dumps(each, sort_keys=True) for each in side] for side in (old, new)]
    result: list[tuple[int | None, Any]] = []
    for tag, low, high, first, last in difflib.SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        same = tag == "equal"
        result += [(index, new[first + index - low] if same else ADDED) for index in range(low, high)]
        result += [] if same else [(None, each) for each in new[first:last]]
    return result
