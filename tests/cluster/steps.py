"""What is made once into the cache: one maker at a time, with a log, progress on the terminal and a clear error."""

import fcntl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.place import Place
from tests.cluster.process import Process

_REMINDER_SECONDS = 30
# The parent-death signal ends one process, and a compiler has children: this shell kills its whole process group.
_GROUP = ["setpriv", "--pdeathsig", "TERM", "--", "sh", "-c", 'trap "kill -KILL 0" TERM; "$@" & wait "$!"', "sh"]


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """One maker of `folder` at a time; the lock goes with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another process makes {what} in {folder}; waiting for it …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Steps:
    """Commands that run one after the other; what they print goes to `log`."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._began = time.monotonic()
        log.unlink(missing_ok=True)

    def say(self, what: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        print(f"[{minutes:2}:{seconds:02}] {what}", flush=True)

    def run(
        self,
        what: str,
        argv: list[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Run `argv`.

        Args:
            what: it does, as in "building x".
            argv: the command.
            cwd: where it runs.
            env: its whole environment, instead of ours.
            more: comes on top of its environment.

        Raises:
            ClusterError: it failed; the text ends with the end of the log.
        """
        self.say(f"{what} …")
        command = argv if env is None else ["env", "-i", *(f"{name}={value}" for name, value in env.items()), *argv]
        process = Process.started([*_GROUP, *command], place=Place.host(), log=self.log, cwd=cwd, env=more)
        said = time.monotonic()
        try:
            while process.alive:
                time.sleep(0.2)
                if time.monotonic() - said > _REMINDER_SECONDS:
                    self.say(f"  still {what}")
                    said = time.monotonic()
        finally:
            status = process.stop(grace=0)
        if status != 0:
            raise ClusterError(f"{what} failed with status {status}; {self.log} ends with:\n{process.tail()}")
