"""What commands print: text for people, JSON and YAML for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from sutler.text import sanitized


class Format(StrEnum):
    """Values of --output."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def print_result(value: Any, form: Format, text: str) -> None:
    """Prints `value` as JSON or YAML, or `text` for the format table."""
    if form is Format.JSON:
        text = json.dumps(value, indent=2)
    elif form is Format.YAML:
        import yaml  # noqa: PLC0415 - 20 ms that only -o yaml needs

        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=sys.maxsize)
    print_line(text)


def print_line(text: str) -> None:
    """Writes sanitized text to standard output."""
    sys.stdout.write(f"{sanitized(text.rstrip())}\n")


def print_error(text: str) -> None:
    """Writes sanitized text to standard error, which people see and programs do not parse."""
    sys.stderr.write(f"{sanitized(text)}\n")


def one_line(text: str) -> str:
    """`text` without line breaks: foreign text could imitate further lines of output."""
    return " ".join(text.split())


_WIDE = 60
"""Characters. A longer cell does not widen its column."""


def columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as kubectl prints it: no lines, no colours, easily cut by awk.

    A cell of more than _WIDE characters shifts the rest of its own line only.
    """
    lines = [headings, *rows]
    widths = [
        max(len(line[i]) for line in lines if len(line[i]) <= _WIDE or line is headings) for i in range(len(headings))
    ]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
