"""One thing that was checked."""

from dataclasses import dataclass
from typing import Any

from sutler.cli.doctor.findings import Finding, note, problem, unknown
from sutler.cli.output import one_line


@dataclass(frozen=True)
class CheckPassed:
    what: str
    harmful: bool = False
    unknown: bool = False

    def as_json(self) -> dict[str, Any]:
        return {"level": "ok", "what": self.what, "why": "", "fix": []}

    def as_text(self) -> str:
        return f"ok       {one_line(self.what)}."


Result = CheckPassed | Finding

__all__ = ["CheckPassed", "Finding", "Result", "note", "problem", "unknown"]
