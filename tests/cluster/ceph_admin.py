"""The administrator's commands by librados: each start of the program `ceph` takes most of a second of a core.

A connection is kept for each cluster, since a new one costs several times what a command costs.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import rados
import rbd

from tests.cluster.errors import ClusterError

_SECONDS = {"client_mount_timeout": "60", "rados_mon_op_timeout": "60", "rados_osd_op_timeout": "60"}
_kept = dict[Path, rados.Rados]()
_lock = threading.Lock()


def command(conf: Path, prefix: str, **arguments: str | bool) -> Any:
    """What the monitor answers as JSON; None where it answers nothing.

    Raises:
        ClusterError: with the command and the error that the monitor gives.
    """
    wanted = json.dumps({"prefix": prefix, "format": "json", **arguments})
    with connected(conf, prefix) as cluster:
        status, answer, error = cluster.mon_command(wanted, b"")
    if status:
        raise ClusterError(f"ceph {prefix} {arguments}: {error or status}")
    return json.loads(answer) if answer.strip() else None


def create_pool(conf: Path, name: str) -> None:
    """A pool that RBD may use."""
    with connected(conf, f"create pool {name}") as cluster:
        cluster.create_pool(name)
        with cluster.open_ioctx(name) as pool:
            rbd.RBD().pool_init(pool, force=False)


def delete_pool(conf: Path, name: str) -> None:
    """As `ceph osd pool rm`: one that is gone is no error."""
    with connected(conf, f"delete pool {name}") as cluster, suppress(rados.ObjectNotFound):
        cluster.delete_pool(name)


@contextmanager
def connected(conf: Path, what: str) -> Iterator[rados.Rados]:
    """A connection of the administrator, whose errors are ClusterErrors that say `what`."""
    try:
        cluster = _connection(conf)
        # Other clients make pools, too, and remove them.
        cluster.wait_for_latest_osdmap()
        yield cluster
    except (rados.Error, rbd.Error) as error:
        if isinstance(error, rados.TimedOut | rados.ConnectionShutdown):
            close(conf)
        raise ClusterError(f"{what}: {error}") from error


def _connection(conf: Path) -> rados.Rados:
    with _lock:
        if conf not in _kept:
            cluster = rados.Rados(conffile=str(conf), conf=_SECONDS)
            cluster.connect()
            _kept[conf] = cluster
        return _kept[conf]


def close(conf: Path) -> None:
    """Of a cluster that ends; the next command opens another connection."""
    with _lock:
        if kept := _kept.pop(conf, None):
            kept.shutdown()
