"""`make demo`, `make up` and `make down`."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster import ClusterError
from tests.demo import running
from tests.demo.lab import Lab
from tests.demo.narrator import Narrator, StoryError
from tests.demo.story import Story


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description="Sutler on a real cluster of its own.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("play", help="tell the story and stop everything")
    for name, text in (("up", "start it and leave it running"), ("down", "stop it"), ("hold", "keep it running here")):
        commands.add_parser(name, help=text).add_argument("--state", type=Path, required=True)
    arguments = parser.parse_args()
    narrator = Narrator()
    try:
        if arguments.command == "play":
            play(narrator)
        elif arguments.command == "up":
            running.up(arguments.state)
        elif arguments.command == "down":
            running.down(arguments.state)
        else:
            running.hold(arguments.state, narrator)
    except (ClusterError, StoryError, TimeoutError, subprocess.TimeoutExpired) as error:
        narrator.failed(error)
        return 1
    except KeyboardInterrupt:
        narrator.failed("interrupted; everything is stopped")
        return 130
    return 0


def play(narrator: Narrator) -> None:
    narrator.chapter("A real cluster is started: nothing of it is a stand-in")
    with tempfile.TemporaryDirectory(prefix="sutler-demo-") as state, Lab(Path(state), narrator) as lab:
        Story(lab, narrator).play()
        narrator.chapter("Everything is stopped again")
    narrator.say("✓ The story is as it should be, and nothing of it is left running.")


if __name__ == "__main__":
    sys.exit(main())
