"""One thing that was checked."""

from dataclasses import dataclass
from typing import Any

from sutler.commands.doctor.finding import Finding, note, problem, unknown
from sutler.output import one_line


@dataclass(frozen=True)
class Fine:
    what: str
    harmful: bool = False
    unknown: bool = False

    def as_json(self) -> dict[str, Any]:
        return {"level": "ok", "what": self.what, "why": "", "fix": []}

    def as_text(self) -> str:
        return f"ok       {one_line(self.what)}."


Result = Fine | Finding

__all__ = ["Finding", "Fine", "Result", "note", "problem", "unknown"]
