"""The administrator's commands by librados: each start of the program `ceph` takes most of a second of a core."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import rados
import rbd

from tests.cluster.errors import ClusterError

_SECONDS = {"client_mount_timeout": "60", "rados_mon_op_timeout": "60", "rados_osd_op_timeout": "60"}


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
        with rados.Rados(conffile=str(conf), conf=_SECONDS) as cluster:
            yield cluster
    except (rados.Error, rbd.Error) as error:
        raise ClusterError(f"{what}: {error}") from error
