"""What a check returns: something that works, a remark, a problem, or something that could not be checked."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sutler.cli.exit_codes import ExitCode
from sutler.cli.output import one_line


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    """It could not be read or tried, so it is neither fine nor a problem."""


_MARKS = {Level.OK: "ok", Level.NOTE: "note", Level.PROBLEM: "PROBLEM", Level.UNKNOWN: "UNKNOWN"}


@dataclass(frozen=True)
class Finding:
    """The result of one check. `what` and `why` together are a sentence."""

    level: Level
    what: str
    """The object that was checked, the subject of the sentence. For Level.OK the whole sentence."""
    why: str = ""
    fix: tuple[str, ...] = ()
    """Shell commands. Values in them are quoted, so that foreign text cannot do anything else in a shell."""

    @property
    def is_problem(self) -> bool:
        return self.level is Level.PROBLEM

    def as_json(self) -> dict[str, Any]:
        return {"level": str(self.level), "what": self.what, "why": self.why, "fix": list(self.fix)}

    def as_text(self) -> str:
        # Some reasons are foreign sentences, with a full stop of their own.
        sentence = one_line(f"{self.what} {self.why}").removesuffix(".")
        fixes = [f"           $ {one_line(line)}" for line in self.fix]
        return "\n".join([f"{_MARKS[self.level]:<9}{sentence}.", *fixes])


def ok(what: str) -> Finding:
    return Finding(Level.OK, what)


def note(what: str, why: str, *fix: str) -> Finding:
    return Finding(Level.NOTE, what, why, fix)


def problem(what: str, why: str, *fix: str) -> Finding:
    return Finding(Level.PROBLEM, what, why, fix)


def unknown(what: str, why: str, *fix: str) -> Finding:
    return Finding(Level.UNKNOWN, what, why, fix)


def exit_code(found: Iterable[Finding]) -> ExitCode:
    """The exit status for findings. What could not be checked is no success."""
    levels = {each.level for each in found}
    if Level.PROBLEM in levels:
        return ExitCode.PROBLEM
    return ExitCode.CLUSTER if Level.UNKNOWN in levels else ExitCode.OK
