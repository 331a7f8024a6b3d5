"""The password at a terminal: asked for, never shown."""

import os
import pty
import subprocess
from contextlib import suppress

from tests.cli.conftest import PROGRAM, Sutler
from tests.cluster import ControlPlane, wait_for


def test_password_is_asked_for_and_not_echoed(sutler: Sutler, control_plane: ControlPlane) -> None:
    ours, theirs = pty.openpty()
    command = [*PROGRAM, "registry", "add", "quay.io/acme", "--username", "UserName"]
    process = subprocess.Popen(command, env=sutler.environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = bytearray()

    def has_shown(text: bytes) -> bool:
        with suppress(OSError):  # nothing new, or the other end is closed
            shown.extend(os.read(ours, 65536))
        return text in shown

    try:
        wait_for(lambda: has_shown(b"Password"), "the prompt")
        os.write(ours, b"hunter2\n")
        wait_for(lambda: has_shown(b"Secret") and process.poll() is not None, "the command to end")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert process.returncode == 0, shown
    assert b"hunter2" not in shown
    assert "quay-io-acme" in control_plane.kubectl("get", "regmap", "-o", "name")
