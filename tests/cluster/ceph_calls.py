"""What `ceph` does, by the library with which it reads its words: a start of the program takes half a second of a core.

Words that the monitor does not know are run by the program itself: those to other daemons, and mistakes.
"""

import errno
import importlib.util
import json
from collections.abc import Sequence
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
