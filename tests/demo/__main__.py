"""`make demo`, `make up` and `make down`."""

import argparse
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster import ClusterError
from tests.cluster.detached import Detached, ended_by_term
from tests.demo.installing import choose_installation
from tests.demo.lab import Lab
from tests.demo.narrator import Narrator, StoryError
from tests.demo.story import Story

_COMMANDS = {
    "play": "play the story, then stop everything",
    "up": "start the cluster with Sutler in it and leave it running",
    "down": "stop what `up` started",
    "hold": "keep the cluster running (the process that `up` starts)",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description="Start Sutler on a real cluster.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name != "play":
            command.add_argument("--state", type=Path, required=True)
    arguments = parser.parse_args()
    narrator = Narrator()
    try:
        if arguments.command == "play":
            with ended_by_term():
                play(narrator)
        elif arguments.command == "up":
            up(Detached(arguments.state))
        elif arguments.command == "down":
            print("Everything is stopped." if Detached(arguments.state).stop() else "Nothing ran.")
        else:
            hold(Detached(arguments.state), narrator)
    except (ClusterError, StoryError, TimeoutError, subprocess.TimeoutExpired) as error:
        narrator.failed(error)
        return 1
    except KeyboardInterrupt:
        narrator.failed("interrupted; everything is stopped")
        return 130
    return 0


def play(narrator: Narrator) -> None:
    narrator.chapter("A real cluster starts")
    state = Path(tempfile.mkdtemp(prefix="sutler-demo-"))
    try:
        with Lab(state, narrator) as lab:
            Story(lab, narrator).play()
            narrator.chapter("Everything stops")
    except (ClusterError, StoryError, TimeoutError, subprocess.TimeoutExpired):
        narrator.explain(f"The logs of all parts are in {state}.")
        raise
    shutil.rmtree(state)
    narrator.explain("✓ Every result is as expected, and nothing is left running.")


def up(detached: Detached) -> None:
    if detached.lines is None:
        detached.start([sys.executable, "-m", "tests.demo", "hold", "--state", str(detached.state)])
    print("\nThe cluster runs; `make down` stops it. Paste these lines, then try kubectl, rbd, sutler and curl:")
    print(detached.lines)


def hold(detached: Detached, narrator: Narrator) -> None:
    with ended_by_term(), Lab(detached.state, narrator) as lab:
        installed = choose_installation(lab)
        installed.install()
        installed.open_api()
        detached.ready("\n".join(_exports(lab)))
        while True:
            signal.pause()


def _exports(lab: Lab) -> list[str]:
    """Return the lines to paste; the token stays in a file, because terminals are recorded."""
    token = lab.state / "api-token"
    token.touch(mode=0o600)
    token.write_text(lab.narrator.env["SUTLER_API_TOKEN"])
    written = {
        "PATH": f"{shlex.quote(str(lab.commands))}:$PATH",
        "SUTLER_API_TOKEN": f"$(cat {shlex.quote(str(token))})",
    }
    return [f"export {name}={written.get(name) or shlex.quote(value)}" for name, value in lab.narrator.env.items()]


if __name__ == "__main__":
    sys.exit(main())
