"""One thing that is amiss."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from sutler.cli.output import ExitCode, one_line


class CheckedPods(Protocol):
    @property
    def harmful(self) -> bool: ...
    @property
    def unknown(self) -> bool: ...


@dataclass(frozen=True)
class Finding:
    harmful: bool
    """Something does not work; else it is only worth knowing."""
    what: str
    why: str
    fix: tuple[str, ...]
    """What to type: each is a command, whose values can't do anything else in a shell than be values."""
    unknown: bool = False
    """It could not be looked at or tried, so it is neither fine nor amiss."""

    def as_json(self) -> dict[str, Any]:
        return {
            "level": "problem" if self.harmful else "unknown" if self.unknown else "note",
            "what": self.what,
            "why": self.why,
            "fix": list(self.fix),
        }

    def as_text(self) -> str:
        mark = "PROBLEM" if self.harmful else "UNKNOWN" if self.unknown else "note   "
        fixes = [f"           $ {one_line(line)}" for line in self.fix]
        # Some whys are others' sentences, with a full stop of their own.
        return "\n".join([f"{mark}  {one_line(f'{self.what} {self.why}').removesuffix('.')}.", *fixes])


def problem(what: str, why: str, *fix: str) -> Finding:
    return Finding(True, what, why, fix)


def note(what: str, why: str, *fix: str) -> Finding:
    return Finding(False, what, why, fix)


def unknown(what: str, why: str, *fix: str) -> Finding:
    return Finding(False, what, why, fix, unknown=True)


def status(found: Iterable[CheckedPods]) -> ExitCode:
    """The exit status for what was found. What could not be seen is no success."""
    found = list(found)
    if any(each.harmful for each in found):
        return ExitCode.PROBLEM
    return ExitCode.CLUSTER if any(each.unknown for each in found) else ExitCode.FINE
