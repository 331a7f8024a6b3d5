"""One thing that is amiss."""

from dataclasses import dataclass
from typing import Any

from sutler.output import one_line


@dataclass(frozen=True)
class Finding:
    harmful: bool
    """Something does not work; else it is only worth knowing."""
    what: str
    why: str
    fix: tuple[str, ...]
    """What to type: each is a command, whose values can't do anything else in a shell than be values."""

    def as_json(self) -> dict[str, Any]:
        return {
            "level": "problem" if self.harmful else "note",
            "what": self.what,
            "why": self.why,
            "fix": list(self.fix),
        }

    def as_text(self) -> str:
        mark = "PROBLEM" if self.harmful else "note   "
        fixes = [f"           $ {one_line(line)}" for line in self.fix]
        # Some whys are others' sentences, with a full stop of their own.
        return "\n".join([f"{mark}  {one_line(f'{self.what} {self.why}').removesuffix('.')}.", *fixes])


def problem(what: str, why: str, *fix: str) -> Finding:
    return Finding(True, what, why, fix)


def note(what: str, why: str, *fix: str) -> Finding:
    return Finding(False, what, why, fix)
