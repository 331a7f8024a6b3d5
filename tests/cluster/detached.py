"""A cluster that outlives the command that started it: one process holds all of it, and all ends with that one."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.wait import wait_for

_START_SECONDS = 1800.0  # the first start on a machine builds Kubernetes
_STOP_SECONDS = 90.0


class Detached:
    """What runs, or not, with `state` as its directory. Any command can ask or stop it."""

    def __init__(self, state: Path) -> None:
        self.state = state.absolute()
        self._record = self.state / "holder.json"
        self._lines = self.state / "lines"
        self.log = self.state / "holder.log"

    @property
    def lines(self) -> str | None:
        """What `ready` was given; None when it does not run or is not ready."""
        return self._lines.read_text() if self.holder() is not None and self._lines.exists() else None

    def holder(self) -> int | None:
        """The process id of the holder; None when it has ended, though its number may be another's by now."""
        try:
            record = json.loads(self._record.read_text())
        except FileNotFoundError:
            return None
        pid = int(record["pid"])
        return pid if _start_time(pid) == record["started"] else None

    def start(self, command: Sequence[str]) -> None:
        """Run `command` as the holder, show what it says, and return when it calls `ready`."""
        self._clear()
        self.state.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            holder = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._record.write_text(json.dumps({"pid": holder.pid, "started": _start_time(holder.pid)}))
        try:
            self._follow(holder)
        except BaseException:
            if holder.poll() is None:
                holder.terminate()
                holder.wait(_STOP_SECONDS)
            raise

    def ready(self, lines: str) -> None:
        """Called by the holder: everything runs, and `lines` is what a user needs to know."""
        new = self._lines.with_suffix(".new")
        new.write_text(lines)
        new.rename(self._lines)

    def stop(self) -> bool:
        """End the holder, and with it everything; False when nothing ran."""
        holder = self.holder()
        if holder is not None:
            os.kill(holder, signal.SIGTERM)
            wait_for(lambda: self.holder() is None, f"process {holder} to stop everything", _STOP_SECONDS)
        self._clear()
        return holder is not None

    def _clear(self) -> None:
        """Remove the directory, if this module made it or it is empty: a wrong --state must not delete files."""
        if self.holder() is not None:
            raise ClusterError(f"a cluster runs already with its state in {self.state}; stop it first")
        if self._record.exists():
            shutil.rmtree(self.state)
        elif self.state.exists() and any(self.state.iterdir()):
            raise ClusterError(f"{self.state} holds other files than a cluster's; name an empty or a new directory")

    def _follow(self, holder: subprocess.Popen[bytes]) -> None:
        with self.log.open() as log:

            def is_ready() -> bool:
                print(log.read(), end="", flush=True)
                if holder.poll() is not None:
                    raise ClusterError(f"the start failed, its log is {self.log}")
                return self._lines.exists()

            wait_for(is_ready, "everything to run", _START_SECONDS)


@contextmanager
def ended_by_term() -> Iterator[None]:
    """Inside, TERM raises KeyboardInterrupt once, so that context managers clean up; what comes later is ignored."""

    def interrupt(*_: object) -> None:
        for ignored in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ignored, signal.SIG_IGN)
        raise KeyboardInterrupt

    for caught in (signal.SIGTERM, signal.SIGINT):
        signal.signal(caught, interrupt)
    yield


def _start_time(pid: int) -> str | None:
    """When the kernel started the process, in its ticks; with the id this names one process for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, ticks = fields[0], fields[19]
    return None if state == "Z" else ticks
