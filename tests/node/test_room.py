"""The end of a sandbox ends everything in it, by any cause."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Place, Process, machine, wait_for
from tests.cluster.cgroups import existing, inhabitants
from tests.cluster.room import Room, Server

NAME = f"room-test-{os.getpid()}"
# An orphan in a session of its own and a mount, as a container runtime leaves them when it is killed.
MESSY = "mount -t tmpfs mine /mnt; setsid sleep 1001 & echo > /var/log/done; exec sleep 1002"

pytestmark = pytest.mark.usefixtures("able_machine")


@pytest.fixture
def description(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    file = tmp_path / "room.json"
    server = Server(["/bin/sh", "-c", MESSY], str(tmp_path / "server.log"))
    file.write_text(Room(NAME, {"/var/log": str(tmp_path / "log")}, {}, [], [server]).dumps())
    return file


@pytest.fixture
def room(description: Path, tmp_path: Path) -> Iterator[Process]:
    process = Process.started(
        [*machine.ROOM, description], place=Place.host(), log=tmp_path / "room.log", cwd=machine.REPOSITORY
    )
    process.until((tmp_path / "log" / "done").exists, "the room's server")
    yield process
    process.stop()


def test_room_keeps_its_mounts_and_files_to_itself(room: Process, tmp_path: Path) -> None:
    assert room.alive
    assert len(inhabitants(NAME)) >= 3
    assert not Path("/var/log/done").exists()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert " /mnt " not in Path("/proc/self/mountinfo").read_text()


def test_stopped_room_leaves_no_process_and_no_cgroup(room: Process) -> None:
    lived = inhabitants(NAME)
    room.stop()
    assert not existing(NAME)
    assert not [pid for pid in lived if Path("/proc", str(pid)).exists()]


def test_room_ends_with_the_process_that_started_it(description: Path, tmp_path: Path) -> None:
    command = [*machine.ROOM, str(description)]
    starter = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({command!r})"], cwd=machine.REPOSITORY
    )
    wait_for((tmp_path / "log" / "done").exists, "the room's server")
    lived = inhabitants(NAME)
    starter.kill()
    starter.wait()
    wait_for(lambda: not existing(NAME), "the room's cgroups to go")
    assert not [pid for pid in lived if Path("/proc", str(pid)).exists()]


def test_room_ends_when_a_server_of_its_does_and_says_so(room: Process) -> None:
    (server,) = [pid for pid in inhabitants(NAME) if b"1002" in Path("/proc", str(pid), "cmdline").read_bytes()]
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: not room.alive, "the room to end")
    assert "/bin/sh ended by itself" in room.log_text()
    assert not existing(NAME)
