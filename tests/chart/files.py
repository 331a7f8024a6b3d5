"""The generated files of the chart, and their table in the documentation."""

import json
import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import yaml

from tests.chart.emit import conditional, emit
from tests.chart.foreign import FOREIGN, FOREIGN_GLOBALS, FOREIGN_LISTS
from tests.chart.kinds import Json
from tests.chart.objects import MANIFESTS, ChartObject, by_file, objects
from tests.chart.slots import fill
from tests.chart.values import SECTIONS, Value, values

CHART = MANIFESTS / "chart"
_BY = "Written by `make chart`; a test fails when the manifests differ."
_WIDTH = 116


def files() -> dict[str, str]:
    """All generated files by their paths in the chart."""
    return {
        **templates(),
        "templates/_foreign.tpl": _foreign(),
        "values.yaml": values_file(),
        "values.schema.json": json.dumps(schema(), indent=2) + "\n",
        "files/dashboard.json": (MANIFESTS / "components" / "prometheus" / "dashboard.json").read_text(),
    }


def templates() -> dict[str, str]:
    found = objects()
    fill(found)
    return {f"templates/{file}": _template(each) for file, each in by_file(found).items()}


def _template(found: list[ChartObject]) -> str:
    parts = [f"{{{{- /* {_BY} Source: {found[0].source} */ -}}}}\n"]
    for conditions, same in groupby(found, lambda one: one.conditions):
        parts.append(conditional(conditions, "".join(f"---\n{emit(one.tree)}" for one in same)))
    return "".join(parts)


def _foreign() -> str:
    tables = {"values": FOREIGN, "globals": FOREIGN_GLOBALS, "lists": FOREIGN_LISTS}
    defined = [
        f'{{{{- define "sutler.foreign.{name}" -}}}}\n{lines}{{{{- end }}}}\n'
        for name, lines in ((name, yaml.safe_dump(one, sort_keys=False, width=1000)) for name, one in tables.items())
    ]
    return f"{{{{- /* {_BY} */ -}}}}\n{''.join(defined)}"


def schema() -> Json:
    """The JSON schema. It lets foreign names pass, so that a template can say what to use instead."""
    root: Json = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of Sutler", **_section("")}
    for value in values():
        *path, name = value.name.split(".")
        _at(root, path)["properties"][name] = {
            "description": value.description,
            **value.schema,
            "default": value.default,
        }
    for name, instead in FOREIGN.items():
        *path, last = name.split(".")
        _at(root, path)["properties"][last] = {
            "description": f"Not a value of Sutler. Use {instead}.",
            "deprecated": True,
        }
    for name in FOREIGN_LISTS:
        root["properties"][name]["type"] = ["object", "array"]
    root["properties"]["global"]["additionalProperties"] = True
    return root


def _section(description: str) -> Json:
    said = {"description": description} if description else {}
    return {**said, "type": "object", "additionalProperties": False, "properties": {}}


def _at(root: Json, path: list[str]) -> Json:
    for depth, name in enumerate(path):
        text = SECTIONS[name] if not depth else ""
        root = root["properties"].setdefault(name, _section(text))
    return root


def values_file() -> str:
    lines = [f"# {_BY}", "# docs/helm-values.md has the same as a table."]
    lines += _values_lines(values(), 0)
    return "\n".join(lines) + "\n"


def _values_lines(found: list[Value], depth: int) -> Iterator[str]:
    margin = "  " * depth
    for (name, nested), members in groupby(_sorted(found, depth), lambda one: _part(one, depth)):
        each = list(members)
        if nested:
            yield from [""] if not depth else []
            yield from _comment(SECTIONS.get(name, "") if not depth else "", margin)
            yield f"{margin}{name}:"
            yield from _values_lines(each, depth + 1)
            continue
        yield from [""] if not depth else []
        yield from _comment(each[0].description, margin)
        yield from (f"{margin}{line}" for line in _shown(name, each[0].default))


def _shown(name: str, default: Any) -> list[str]:
    if isinstance(default, dict) and default:
        return yaml.safe_dump({name: default}, sort_keys=False).splitlines()
    plain = yaml.safe_dump(default, default_flow_style=True, width=_WIDTH).removesuffix("\n").removesuffix("\n...")
    return [f"{name}: {plain}" if default != "" else f'{name}: ""']


def _sorted(found: list[Value], depth: int) -> list[Value]:
    """Values of one section next to each other, in the order of their first ones."""
    order = {name: number for number, name in enumerate(dict.fromkeys(_part(one, depth)[0] for one in found))}
    return sorted(found, key=lambda one: order[_part(one, depth)[0]])


def _part(one: Value, depth: int) -> tuple[str, bool]:
    parts = one.name.split(".")
    return parts[depth], len(parts) > depth + 1


def _comment(text: str, margin: str) -> list[str]:
    return [f"{margin}# {line}" for line in textwrap.wrap(text, _WIDTH - len(margin))]


def table() -> str:
    """The page docs/helm-values.md."""
    sections: dict[str, list[Value]] = {"": []}
    for one in values():
        sections.setdefault(one.name.partition(".")[0] if "." in one.name else "", []).append(one)
    parts = [
        "<!-- Written by `make docs`; a test fails when the code differs. -->\n",
        "# Values of the Helm chart\n",
        "[Install](install.md#helm) shows how to use them. `helm show values manifests/chart` prints the same.\n",
    ]
    for name, members in sections.items():
        parts += [f"## {name}\n", f"{SECTIONS[name]}\n"] if name else ["## All Pods\n"]
        rows = [f"| `{one.name}` | `{json.dumps(one.default)}` | {_cell(one.description)} |" for one in members]
        parts += ["| value | default | meaning |", "|---|---|---|", *rows, ""]
    named = {**FOREIGN, **{f"global.{name}": instead for name, instead in FOREIGN_GLOBALS.items()}}
    named |= {f"{name} (a list)": instead for name, instead in FOREIGN_LISTS.items()}
    parts += ["## Names in other charts\n", "The chart rejects these names, and says what to use instead.\n"]
    parts += ["| name | instead |", "|---|---|", *(f"| `{name}` | {_cell(one)} |" for name, one in named.items())]
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def stale() -> list[str]:
    """Generated files that differ from what they should be, or that should not be there."""
    wanted: dict[str, Any] = files()
    different = [
        name for name, text in wanted.items() if not (CHART / name).is_file() or (CHART / name).read_text() != text
    ]
    return different + [name for name in _generated() if name not in wanted]


def _generated() -> list[str]:
    return [
        str(path.relative_to(CHART))
        for path in (CHART / "templates").glob("*")
        if path.is_file() and _BY in path.read_text()
    ]


def write() -> None:
    wanted = files()
    for name in _generated():
        if name not in wanted:
            (CHART / name).unlink()
    for name, text in wanted.items():
        (CHART / name).parent.mkdir(parents=True, exist_ok=True)
        (CHART / name).write_text(text)
