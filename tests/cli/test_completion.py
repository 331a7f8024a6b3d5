"""Completion in real shells, by the lines of the guide, typed on a terminal; and of `kubectl sutler`."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import needs
from tests.conftest import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "install.md").read_text()
START = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"], "fish": ["fish", "--no-config", "-i"]}
SECONDS = 120.0


class Terminal:
    def __init__(self, master: int) -> None:
        self._master = master

    def write(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait(self, text: str) -> None:
        shown, deadline = "", time.monotonic() + SECONDS
        while text not in shown:
            assert time.monotonic() < deadline, shown
            if select.select([self._master], [], [], 1)[0]:
                shown += os.read(self._master, 65536).decode(errors="replace")


@pytest.fixture
def with_sutler(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Of a user who has the command on the PATH and an empty home."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**environ, "PATH": path, "HOME": str(tmp_path), "TERM": "dumb"}


@pytest.mark.parametrize("shell", START)
def test_shell_completes_after_the_line_of_the_guide(shell: str, with_sutler: dict[str, str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"apt-get install {shell}")
    (line,) = re.findall(rf"^\| {shell} \| `([^`]+)` \|", GUIDE, re.MULTILINE)
    with terminal(START[shell], with_sutler) as opened:
        opened.write(f"{line.replace(chr(92) + '|', '|')}\necho rea''dy\n")
        opened.wait("ready")
        opened.write("sutler registry impo\t")
        opened.wait("import")


def test_kubectl_completes_its_plugin(with_sutler: dict[str, str]) -> None:
    if reason := needs.lacking("older ones complete no plugin", kubectl="1.26"):
        pytest.skip(reason)
    command = ["kubectl", "__complete", "sutler", "registry", ""]
    ran = subprocess.run(command, env=with_sutler, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == ["add", "import", "list", "check", "remove", ":4"]


def test_kubectl_runs_its_plugin(with_sutler: dict[str, str]) -> None:
    command = ["kubectl", "sutler", "--version"]
    ran = subprocess.run(command, env=with_sutler, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.startswith("sutler ")


@contextmanager
def terminal(command: list[str], environ: dict[str, str]) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    # A session of its own, whose terminal this becomes.
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command], env=environ, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    try:
        yield Terminal(master)
    finally:
        os.close(master)  # a hang-up, which ends the shell
        process.wait(SECONDS)
