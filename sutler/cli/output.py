"""What commands print: text for people, JSON and YAML for programs, and how a command ends."""

import json
import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import Any

from sutler.errors import SutlerError
from sutler.text import sanitized

"""Change the direction in which a terminal writes: a text could be read as another."""


class ExitCode(IntEnum):
    """What a command's exit status means."""

    FINE = 0
    PROBLEM = 1
    USAGE = 2
    CLUSTER = 3


EXIT_CODES = """\b
Exit status:
  0  all is well
  1  a problem was found, or what was asked for was refused
  2  wrong usage: an option, a file or a name that can't be understood
  3  the cluster can't be reached, or does not let us in or see enough to tell"""
"""For the end of every --help; the first line keeps the others from being joined."""


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class UsageError(SutlerError):
    """What was typed, or a file that was named, makes no sense."""

    exit_code = ExitCode.USAGE


class RefusedError(SutlerError):
    """What was asked for would harm something, so nothing was done."""

    exit_code = ExitCode.PROBLEM


def emit(value: Any, form: Format, text: str) -> None:
    """Print a result: `value` for programs, `text` for people."""
    if form is Format.JSON:
        text = json.dumps(value, indent=2)
    elif form is Format.YAML:
        import yaml  # noqa: PLC0415 - 20 ms that only -o yaml needs

        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=sys.maxsize)
    say(text)


def say(text: str) -> None:
    sys.stdout.write(f"{sanitized(text.rstrip())}\n")


def complain(text: str) -> None:
    """To standard error, so that it is seen and never parsed."""
    sys.stderr.write(f"{sanitized(text)}\n")


def one_line(text: str) -> str:
    """For what may have been written to look like several lines of ours."""
    return " ".join(text.split())


_WIDE = 60
"""Characters of a cell for which a whole column is made wide."""


def columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as kubectl prints it: no lines, no colours, easily cut by awk.

    A cell that is longer than most would like moves what follows in its own line, and not in all.
    """
    lines = [headings, *rows]
    widths = [
        max(len(line[i]) for line in lines if len(line[i]) <= _WIDE or line is headings) for i in range(len(headings))
    ]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
