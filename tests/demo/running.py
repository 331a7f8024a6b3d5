"""A lab that outlives the command that started it: one process holds it, `down` ends that process and no other."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.cluster import ClusterError, wait_for
from tests.demo.lab import Lab
from tests.demo.narrator import Narrator

START_SECONDS = 1800.0  # the first start on a machine builds Kubernetes
STOP_SECONDS = 90.0


def up(state: Path) -> None:
    """Start a lab with Sutler in it; does nothing but print the lines again when it runs already."""
    if _holder(state) is None:
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        with (state / "log").open("wb") as log:
            holder = subprocess.Popen(
                [sys.executable, "-m", "tests.demo", "hold", "--state", str(state)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (state / "holder").write_text(json.dumps({"pid": holder.pid, "started": _started(holder.pid)}))
        _follow(state, holder)
    print((state / "lines").read_text())


def down(state: Path) -> None:
    """Stop the lab of this state; nothing to do when none runs."""
    holder = _holder(state)
    if holder is not None:
        os.kill(holder, signal.SIGTERM)
        wait_for(lambda: _holder(state) is None, "the lab to stop", STOP_SECONDS)
        print("Everything is stopped.")
    shutil.rmtree(state, ignore_errors=True)


def hold(state: Path, narrator: Narrator) -> None:
    """Be the process that holds the lab, until TERM."""
    stopped = threading.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: stopped.set())
    with Lab(state.absolute(), narrator) as lab:
        lab.install()
        lines = [f"export {name}={shlex.quote(value)}" for name, value in narrator.env.items()]
        (state / "lines.new").write_text(
            "\n".join(["", "It runs. Paste these lines, then try kubectl and rbd:", *lines])
        )
        (state / "lines.new").rename(state / "lines")
        stopped.wait()


def _follow(state: Path, holder: subprocess.Popen[bytes]) -> None:
    """Show what the holder says until it is ready."""
    with (state / "log").open() as log:

        def ready() -> bool:
            print(log.read(), end="", flush=True)
            if holder.poll() is not None:
                raise ClusterError(f"the start failed, see {state / 'log'}")
            return (state / "lines").exists()

        wait_for(ready, "the cluster to be up", START_SECONDS)


def _holder(state: Path) -> int | None:
    """The process that holds this state's lab, if it is alive and not another one with its number."""
    try:
        holder = json.loads((state / "holder").read_text())
    except FileNotFoundError:
        return None
    pid = int(holder["pid"])
    return pid if _started(pid) == holder["started"] else None


def _started(pid: int) -> str | None:
    """When the kernel started the process, in its own ticks; None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    state, ticks = fields[0], fields[19]
    return None if state == "Z" else ticks
