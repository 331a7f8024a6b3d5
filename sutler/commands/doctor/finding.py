"""One thing that is amiss."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    harmful: bool
    """Something does not work; else it is only worth knowing."""
    what: str
    why: str
    fix: tuple[str, ...]
    """What to type, one command a line."""

    def as_json(self) -> dict[str, Any]:
        return {
            "level": "problem" if self.harmful else "note",
            "what": self.what,
            "why": self.why,
            "fix": list(self.fix),
        }

    def as_text(self) -> str:
        mark = "PROBLEM" if self.harmful else "note   "
        return "\n".join([f"{mark}  {self.what} {self.why}.", *(f"           $ {line}" for line in self.fix)])


def problem(what: str, why: str, *fix: str) -> Finding:
    return Finding(True, what, why, fix)


def note(what: str, why: str, *fix: str) -> Finding:
    return Finding(False, what, why, fix)
