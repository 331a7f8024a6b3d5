"""One server process: started with a log, stopped by its own process id, gone when we are gone."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from tests.cluster.errors import ClusterError
from tests.cluster.place import Place
from tests.cluster.wait import PATIENCE, wait_for

T = TypeVar("T")

# The kernel's parent-death signal fires when the *thread* that forked ends, not only the process. So every
# server is forked by this one thread, which lives as long as this process, for every caller.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class Process:
    """A running server in a session of its own (Ctrl-C in the terminal reaches us first, not it)."""

    def __init__(self, name: str, log: Path, fork: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.name = name
        self.log = log
        self._fork = fork
        self._popen = _SPAWNER.submit(fork).result()

    @classmethod
    def started(  # noqa: D417 - the rest says itself
        cls,
        argv: Sequence[str | Path],
        *,
        place: Place,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Self:
        """Start `argv` inside `place`.

        Args:
            log: gets standard output and error, appended.
            env: comes on top of our own environment.
        """
        command = ["setpriv", "--pdeathsig", "KILL", "--", *place.prefix, *map(str, argv)]

        def fork() -> subprocess.Popen[bytes]:
            with log.open("ab") as out:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(env or {})},
                    cwd=cwd,
                    start_new_session=True,
                    pass_fds=tuple(pass_fds),
                )

        log.parent.mkdir(parents=True, exist_ok=True)
        return cls(Path(argv[0]).name, log, fork)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.returncode is None and not self._ended(wait=False)

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send `sig` to the process and its children; nothing when it has ended."""
        if self.alive:
            os.killpg(self.pid, sig)

    def freeze(self) -> None:
        """Return when none of its threads runs: on a busy machine some still answer after the signal."""
        self.kill(signal.SIGSTOP)
        wait_for(self._is_stopped, f"{self.name} to be stopped")

    def resume(self) -> None:
        self.kill(signal.SIGCONT)

    def _is_stopped(self) -> bool:
        threads = Path(f"/proc/{self.pid}/task").glob("*/stat")
        try:
            return all(one.read_text().rpartition(") ")[2][0] in "TZX" for one in threads)
        except (FileNotFoundError, ProcessLookupError):  # one has ended meanwhile
            return False

    def stop(self, grace: float = 10.0) -> int:
        """TERM, up to `grace` seconds, then KILL, for the process and all that it left in its group.

        Returns:
            Its exit status; negative: the signal that ended it.
        """
        if self._popen.returncode is not None:
            return self._popen.returncode
        os.killpg(self.pid, signal.SIGTERM)
        os.killpg(self.pid, signal.SIGCONT)  # a frozen process would never see the TERM
        deadline = time.monotonic() + grace
        while not self._ended(wait=False) and time.monotonic() < deadline:
            time.sleep(0.01)
        # Not reaped yet, so neither the process id nor the group id can be anybody else's.
        os.killpg(self.pid, signal.SIGKILL)
        self._ended(wait=True)
        return self._popen.wait()

    def restart(self) -> None:
        """Kill it as a crash would and start the same command again."""
        self.stop(grace=0)
        self._popen = _SPAWNER.submit(self._fork).result()

    def until(
        self, condition: Callable[[], T | None], what: str, timeout: float = PATIENCE, needs: Sequence["Process"] = ()
    ) -> T:
        """`wait_for`, given up at once with the log's end when the process, or one that it `needs`, dies meanwhile."""

        def alive_and_true() -> T | None:
            for one in (*needs, self):
                if not one.alive:
                    raise ClusterError(f"{one.name} ended while waiting for {what}; {one.log} ends with:\n{one.tail()}")
            return condition()

        try:
            return wait_for(alive_and_true, what, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {self.log} ends with:\n{self.tail()}") from None

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:])

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def _ended(self, *, wait: bool) -> bool:
        """Whether it has ended, asked without reaping it."""
        options = os.WEXITED | os.WNOWAIT | (0 if wait else os.WNOHANG)
        return os.waitid(os.P_PID, self.pid, options) is not None
