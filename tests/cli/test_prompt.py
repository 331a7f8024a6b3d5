"""The password at a terminal: asked for, never shown."""

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.cli.conftest import PROGRAM, Sutler
from tests.cluster import ControlPlane, wait_for

ADD = (*PROGRAM, "registry", "add", "quay.io/acme", "--username", "UserName")
LONG = 120.0
"""Seconds: starting the command takes half of one, on a machine with nothing else to do."""


class Terminal:
    """The command, and what its user sees and types."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self._screen = screen
        self.shown = b""

    @classmethod
    @contextmanager
    def of(cls, sutler: Sutler) -> Iterator["Terminal"]:
        ours, theirs = pty.openpty()
        # As its controlling terminal, as at a shell: the tests' own, if they have one, is not to be asked.
        # Ctrl-C is heard there, also where the tests run in the background of a script, which hears none.
        command = ["setsid", "--ctty", "--wait", "env", "--default-signal=INT", *ADD]
        process = subprocess.Popen(command, env=sutler.environ, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        os.set_blocking(ours, False)
        try:
            yield cls(process, ours)
        finally:
            process.kill()
            process.wait()
            os.close(ours)

    def type(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def until_shown(self, text: bytes) -> None:
        wait_for(lambda: text in self._look(), f"{text!r} on the terminal", LONG)

    def until_over(self) -> int:
        """The exit status. All that was written before is shown by then."""
        wait_for(lambda: self._look() and self.process.poll() is not None, "the command to end", LONG)
        self._look()
        return self.process.returncode

    def _look(self) -> bytes:
        with suppress(OSError):  # nothing new, or the other end is closed
            while new := os.read(self._screen, 65536):
                self.shown += new
        return self.shown


def test_password_is_asked_for_and_not_echoed(sutler: Sutler, control_plane: ControlPlane) -> None:
    with Terminal.of(sutler) as terminal:
        terminal.until_shown(b"Password: ")
        terminal.type(b"hunter2\n")
        assert terminal.until_over() == 0, terminal.shown
    assert b"Secret" in terminal.shown
    assert b"hunter2" not in terminal.shown
    assert "quay-io-acme" in control_plane.kubectl("get", "regmap", "-o", "name")


def test_prompt_can_be_left_with_nothing_made(sutler: Sutler, control_plane: ControlPlane) -> None:
    for keys, status in ((b"\x03", 130), (b"\x04", 1), (b"\n", 2)):
        with Terminal.of(sutler) as terminal:
            terminal.until_shown(b"Password: ")
            terminal.type(keys)
            assert terminal.until_over() == status, terminal.shown
        assert b"Traceback" not in terminal.shown
        assert b"defect" not in terminal.shown
    assert not control_plane.kubectl("get", "regmap", "-o", "name")
