"""What `ceph` does, by the library with which it reads its words: a start of the program takes half a second of a core.

Words that the monitor or the daemon does not know are run by the program itself: those to the manager, and mistakes.
"""

import errno
import importlib.util
import json
import socket
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from tests.cluster import ceph_admin
from tests.cluster.errors import ClusterError

# Debian's package python3-ceph-argparse, without which there is no `ceph`; no virtual environment sees it.
_LIBRARY = Path("/usr/lib/python3/dist-packages/ceph_argparse.py")


def called(conf: Path, words: Sequence[str], given: str | None) -> str | None:
    """What `ceph` prints with these words, and this on its standard input; None for what only the program knows.

    Raises:
        ClusterError: with the words and the error that `ceph` shows.
    """
    if words[0] == "daemon":
        return _called_of_daemon(Path(words[1]), words[2:])
    named, more = list(words), {}
    if named[-2:] == ["-f", "json"]:
        named, more = named[:-2], {"format": "json"}
    if named[-2:] == ["-i", "-"]:
        named = named[:-2]
    elif given is not None:
        return None
    with ceph_admin.connected(conf, f"ceph {' '.join(words)}") as cluster, redirect_stderr(StringIO()):
        found = _library().validate_command(_signatures(cluster), named)
        if not found:
            return None
        status, printed, said = cluster.mon_command(json.dumps(found | more), (given or "").encode())
    if status:
        raise ClusterError(f"ceph {' '.join(words)}: Error {errno.errorcode[-status]}: {said}")
    return str(printed.decode())


def _called_of_daemon(admin_socket: Path, words: Sequence[str]) -> str | None:
    described = _answer(admin_socket, {"prefix": "get_command_descriptions"})
    found = _library().validate_command(_library().parse_json_funcsigs(described, "cli"), list(words))
    return _answer(admin_socket, found | {"format": "json"}) if found else None


def _answer(admin_socket: Path, command: Mapping[str, str]) -> str:
    """The command ends with a zero byte, and the answer begins with its length in four bytes."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(admin_socket))
        asked.sendall(json.dumps(command).encode() + b"\0")
        with asked.makefile("rb") as answer:
            length = int.from_bytes(answer.read(4), "big")
            return answer.read(length).decode()


@cache
def _library() -> Any:
    spec = importlib.util.spec_from_file_location(_LIBRARY.stem, _LIBRARY)
    if spec is None or spec.loader is None:
        raise ClusterError(f"{_LIBRARY} is no module: apt-get install python3-ceph-argparse")
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    return library


@cache
def _signatures(cluster: Any) -> Any:
    """The monitor's own commands: it passes those of the manager on to no one."""
    _, described, _ = cluster.mon_command(json.dumps({"prefix": "get_command_descriptions"}), b"")
    signatures = _library().parse_json_funcsigs(described.decode(), "cli")
    return {name: one for name, one in signatures.items() if not one.get("flags", 0) & _library().Flag.MGR}
