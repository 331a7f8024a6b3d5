"""Lists, creates, changes and deletes pools, as blocking calls.

Every RBD client may list pools. Creating and deleting needs a credential of its own.
"""

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.ceph.bindings import rbd
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import CephError, InvalidArgument, PoolMissing, errno_name, from_errno, translated

_LIBRBD = rbd.RBD()
_IMPOSSIBLE = frozenset({errno.EINVAL, errno.ERANGE, errno.EOPNOTSUPP})
"""Errors of the monitors for invalid numbers."""


class PoolTaken(CephError):  # noqa: N818 - named after the condition, as all errors of Ceph
    pass


@dataclass(frozen=True, slots=True)
class PoolInfo:
    name: str
    id: int
    kind: str
    """replicated or erasure"""
    replicas: int
    min_replicas: int
    pg_num: int
    autoscale: str
    """on, off or warn"""
    applications: tuple[str, ...]
    quota_bytes: int | None
    quota_objects: int | None
    stored: int
    """Bytes that clients have written, one copy counted."""
    used: int
    """Bytes on disks, all copies."""
    objects: int
    free: int
    """Bytes that clients can still write."""
    measured: bool
    """Ceph has statistics of the pool, which takes some seconds for a new one. Until then these four are 0."""


@dataclass(frozen=True, slots=True)
class PoolSpec:
    name: str
    pg_num: int | None
    replicas: int | None
    autoscale: str | None
    quota_bytes: int | None
    quota_objects: int | None


def list_pools(connection: Connection) -> list[PoolInfo]:
    details = connection.command("osd pool ls", detail="detail")
    statistics = {pool["name"]: pool["stats"] for pool in connection.command("df")["pools"]}
    return sorted(
        (_pool_info(pool, statistics.get(pool["pool_name"], {})) for pool in details), key=lambda pool: pool.name
    )


def get_pool(connection: Connection, name: str) -> PoolInfo:
    for pool in list_pools(connection):
        if pool.name == name:
            return pool
    raise PoolMissing(f"pool {name} does not exist in this Ceph cluster")


def _pool_info(pool: Mapping[str, Any], statistics: Mapping[str, Any]) -> PoolInfo:
    return PoolInfo(
        name=pool["pool_name"],
        id=pool["pool_id"],
        kind="erasure" if pool["type"] == 3 else "replicated",  # noqa: PLR2004 - Ceph's number for it
        replicas=pool["size"],
        min_replicas=pool["min_size"],
        pg_num=pool["pg_num"],
        autoscale=pool["pg_autoscale_mode"],
        applications=tuple(sorted(pool["application_metadata"])),
        quota_bytes=pool["quota_max_bytes"] or None,
        quota_objects=pool["quota_max_objects"] or None,
        stored=statistics.get("stored", 0),
        used=statistics.get("bytes_used", 0),
        objects=statistics.get("objects", 0),
        # All statistics are 0 until a placement group has reported.
        measured=bool(statistics.get("max_avail") or statistics.get("objects")),
        free=_free_bytes(pool["quota_max_bytes"], statistics.get("stored", 0), statistics.get("max_avail", 0)),
    )


def _free_bytes(quota: int, stored: int, available: int) -> int:
    """Ceph's figure is the space on the disks, and ignores the quota."""
    return min(available, max(0, quota - stored)) if quota else available


def create(connection: Connection, spec: PoolSpec) -> None:
    """Creates a pool for RBD images. An incomplete one lacks the application `rbd`."""
    if connection.rados.pool_lookup(spec.name) is not None:
        raise PoolTaken(f"pool {spec.name} exists already: choose another name")
    wanted: dict[str, Any] = {"pool": spec.name, "pool_type": "replicated"}
    optional = {"pg_num": spec.pg_num, "size": spec.replicas, "autoscale_mode": spec.autoscale}
    wanted |= {key: value for key, value in optional.items() if value is not None}
    _run_command(connection, "osd pool create", f"creating pool {spec.name}", **wanted)
    ioctx = connection.ioctx(spec.name)
    with translated("initialising for RBD", f"pool {spec.name}"):
        _LIBRBD.pool_init(ioctx, False)
    set_quota(connection, spec.name, spec.quota_bytes, spec.quota_objects)


def set_quota(connection: Connection, name: str, max_bytes: int | None, max_objects: int | None) -> None:
    """Sets the quotas. None leaves a quota unchanged, 0 removes it."""
    for field, value in (("max_bytes", max_bytes), ("max_objects", max_objects)):
        if value is not None:
            what = f"setting the quota of pool {name}"
            _run_command(connection, "osd pool set-quota", what, pool=name, field=field, val=str(value))


def delete(connection: Connection, name: str) -> None:
    what = f"deleting pool {name}"
    _run_command(connection, "osd pool delete", what, pool=name, pool2=name, yes_i_really_really_mean_it=True)


def list_namespaces(connection: Connection, name: str) -> list[str]:
    """The RADOS namespaces for images in a pool, without the default one."""
    ioctx = connection.ioctx(name)
    with translated("listing", f"the namespaces of pool {name}"):
        return sorted(_LIBRBD.namespace_list(ioctx))


def _run_command(connection: Connection, prefix: str, what: str, **arguments: Any) -> None:
    request = json.dumps({"prefix": prefix, "format": "json", **arguments})
    with translated(*what.split(" ", 1)):
        code, _, message = connection.rados.mon_command(request, b"")
    if code:
        # The message of the monitors names the violated rule.
        kind = InvalidArgument if -code in _IMPOSSIBLE else type(from_errno(-code, what, ""))
        raise kind(f"{what}: {message or 'rejected'} ({errno_name(-code)}, {-code})", code=-code)
