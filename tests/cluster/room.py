"""A room for servers that make processes, mounts, cgroups and files all over the machine.

Run as a program with a Room as JSON in the file that argument 1 names. Two processes do the work:

- the keeper stays outside, makes the room's cgroups and removes them when everything in them is gone;
- the first process inside is PID 1 of its own process namespace, with mounts and cgroups of its own. When it ends, the
  kernel kills all that is left inside (shims and containers too), and the mounts go with their namespace.

So there is nothing to hunt for afterwards, and a keeper whose parent is killed still tidies up.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from tests.cluster import cgroups, kernel

_ENDED = {signal.SIGTERM, signal.SIGCHLD}
_SERVER_STOP_SECONDS = 4.0
_ROOM_STOP_SECONDS = 12.0
_SOCKET_SECONDS = 30.0
# All that servers know of: no proxy, no configuration of the user's.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/run",
    "TMPDIR": "/run",
}


@dataclass(frozen=True)
class Server:
    """One program of the room; the next one starts when its Unix socket, if it has one, answers."""

    argv: list[str]
    log: str
    socket: str = ""


@dataclass(frozen=True)
class Room:
    """What the room looks like from inside.

    `directories` and `files` are shown in place of the machine's own (target to source).
    `keep` stays visible where it is, even when it lies under one of them.
    """

    cgroup: str
    directories: dict[str, str]
    files: dict[str, str]
    keep: list[str]
    servers: list[Server]
    programs: str = ""
    """A folder that servers look for programs in before the machine's: containerd for its own shim."""

    def dumps(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def loads(cls, text: str) -> "Room":
        fields = json.loads(text)
        return cls(**{**fields, "servers": [Server(**server) for server in fields["servers"]]})


def keep(room: Room) -> int:
    """Be the keeper: the room's exit status comes back when it is empty and its cgroups are gone."""
    parent = os.getppid()
    kernel.signal_when_parent_ends(signal.SIGTERM)
    if os.getppid() != parent:
        return 1  # the parent ended just before it could be asked for
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDED)
    hierarchies = cgroups.ours()
    kernel.unshare(kernel.NEW_MOUNTS | kernel.NEW_PROCESSES)
    kernel.mount("none", "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
    cgroups.mount_all(hierarchies)
    subtrees = [hierarchy.subtree(room.cgroup) for hierarchy in hierarchies]
    try:
        cgroups.create(hierarchies, room.cgroup)
        first = os.fork()
        if first == 0:
            _be_first(room, hierarchies, subtrees)
        return _wait_for_room(first)
    finally:
        for subtree in subtrees:
            cgroups.remove(subtree)


def _be_first(room: Room, hierarchies: list[cgroups.Hierarchy], subtrees: list[Path]) -> NoReturn:
    """Never back into the keeper's code: its clean-up is not ours."""
    status = 1
    try:
        status = live(room, hierarchies, subtrees)
    except OSError as error:
        print(f"could not furnish the room: {error}")
    finally:
        sys.stdout.flush()
        os._exit(status)


def _wait_for_room(first: int) -> int:
    if signal.sigwait(_ENDED) == signal.SIGTERM:
        os.kill(first, signal.SIGTERM)
        if signal.sigtimedwait({signal.SIGCHLD}, _ROOM_STOP_SECONDS) is None:
            os.kill(first, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def live(room: Room, hierarchies: list[cgroups.Hierarchy], subtrees: list[Path]) -> int:
    """Be the first process inside: furnish, start the servers, bury orphans, stop the servers in reverse order."""
    kernel.signal_when_parent_ends(signal.SIGKILL)
    furnish(room, hierarchies, subtrees)
    servers: list[int] = []
    status = 1
    try:
        for server in room.servers:
            servers.append(_spawn(server, room.programs))
            if server.socket:
                _wait_for_socket(server)
        if not servers:
            return 0  # a rehearsal
        while not (dead := _reap() & set(servers)):
            if signal.sigwait(_ENDED) == signal.SIGTERM:
                status = 0
                break
        for server_id in dead:
            _say_that_it_ended(room.servers[servers.index(server_id)])
    finally:
        for server_id in reversed(servers):
            _stop(server_id)
    return status


def _say_that_it_ended(server: Server) -> None:
    last = Path(server.log).read_text(errors="replace").splitlines()[-10:]
    print(f"{server.argv[0]} ended by itself; {server.log} ends with:", *last, sep="\n")


def furnish(room: Room, hierarchies: list[cgroups.Hierarchy], subtrees: list[Path]) -> None:
    for subtree in subtrees:
        cgroups.enter(subtree)
    kernel.unshare(kernel.NEW_MOUNTS | kernel.NEW_CGROUPS)
    cgroups.mount_all(hierarchies)
    cgroups.make_room_for_controllers()
    kernel.mount("proc", "/proc", "proc")
    kept = {path: os.open(path, os.O_PATH) for path in room.keep}
    opened = {target: os.open(source, os.O_PATH) for target, source in room.directories.items()}
    for target, source in opened.items():
        kernel.mount(f"/proc/self/fd/{source}", target, flags=kernel.BIND)
    for path, source in kept.items():
        if not Path(path).exists():
            Path(path).mkdir(parents=True)
            kernel.mount(f"/proc/self/fd/{source}", path, flags=kernel.BIND | kernel.RECURSIVE)
    for target, file in room.files.items():
        kernel.mount(file, target, flags=kernel.BIND)
    # Mounts made by one server for the others (kubelet's volumes) must be visible to them, and are invisible outside.
    kernel.mount("none", "/", flags=kernel.RECURSIVE | kernel.SHARED)


def _spawn(server: Server, programs: str) -> int:
    path = f"{programs}:{_ENVIRONMENT['PATH']}" if programs else _ENVIRONMENT["PATH"]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        server.argv[0],
        server.argv,
        {**_ENVIRONMENT, "PATH": path},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, server.log, flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
    )


def _wait_for_socket(server: Server) -> None:
    deadline = time.monotonic() + _SOCKET_SECONDS
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(server.socket)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{server.argv[0]} does not answer on {server.socket}: {error}") from None
            else:
                return
        time.sleep(0.05)


def _reap() -> set[int]:
    """Bury every child that has ended, adopted ones included, and say which they were."""
    dead: set[int] = set()
    while True:
        try:
            child, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return dead
        if child == 0:
            return dead
        dead.add(child)


def _stop(server_id: int) -> None:
    deadline = time.monotonic() + _SERVER_STOP_SECONDS
    try:
        os.kill(server_id, signal.SIGTERM)
        while server_id not in _reap() and time.monotonic() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
    except ProcessLookupError:
        return  # it was what ended


def main(arguments: Sequence[str]) -> int:
    return keep(Room.loads(Path(arguments[0]).read_text()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
