"""What processes have used of the processor."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.process import Process

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage:
    """From its making on."""

    def __init__(self, processes: Mapping[str, Process]) -> None:
        self._processes = processes
        self._before = {name: _seconds(process.pid) for name, process in processes.items()}
        self._began = time.monotonic()

    def spent(self) -> dict[str, float]:
        """Seconds of one core."""
        return {name: _seconds(process.pid) - self._before[name] for name, process in self._processes.items()}

    def spent_per(self, count: int) -> str:
        """In milliseconds for each of `count` things."""
        return ", ".join(f"{name} {seconds / count * 1000:.1f}" for name, seconds in self.spent().items())

    def share(self, name: str) -> float:
        """Of one core."""
        return self.spent()[name] / (time.monotonic() - self._began)


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
