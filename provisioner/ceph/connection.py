"""One connection to one Ceph cluster, as blocking calls."""

import contextlib
import errno
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from provisioner.ceph import cephx_keys
from provisioner.ceph.bindings import rados
from provisioner.ceph.errors import (
    CephError,
    CephUnavailable,
    KeyUnusable,
    NotConnected,
    OutcomeUnknown,
    PoolMissing,
    errno_name,
    translated,
)
from provisioner.ceph.model import PoolSpace
from provisioner.ceph.object_listing import ObjectListing

T = TypeVar("T")

CACHE_SECONDS = 30.0
"""Seconds for which a pool's settings are cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    name: str = "default"
    """Sutler's name of the cluster: the clusterID of the StorageClass."""
    conf: str = ""
    """Path of a ceph.conf; empty: CEPH_CONF, then Ceph's default paths. Not read if `monitors` are given."""
    monitors: tuple[str, ...] = ()
    """Addresses."""
    user: str = "admin"
    """Without "client."."""
    key: str | None = field(default=None, repr=False)
    """The cephx key; None: from the keyring that the configuration names."""
    timeout: float = 15.0
    """Seconds for one operation of an OSD or a monitor. Ceph's default is no time-out."""
    connect_timeout: float = 10.0
    """Seconds."""
    threads: int = 16
    """Calls at a time, besides removals."""
    removals: int = 8
    """Removals and other long calls at a time."""


class Connection:
    def __init__(self, settings: ClusterSettings) -> None:
        """Connects, and blocks for up to `connect_timeout`."""
        self._settings = settings
        self._ioctxs: dict[tuple[int, str], Any] = {}
        self._prepared: set[tuple[Any, int, str]] = set()
        self._cache: dict[tuple[Any, int, str], tuple[float, Any]] = {}
        self._lock = threading.Lock()
        self.rados = self._connect()

    def _connect(self) -> Any:
        settings = self._settings
        target = f"to Ceph cluster {settings.name} as client.{settings.user}"
        options = {
            "rados_osd_op_timeout": f"{settings.timeout:g}",
            "rados_mon_op_timeout": f"{settings.timeout:g}",
            "client_mount_timeout": f"{settings.connect_timeout:g}",
            # A restarted OSD is found in a newer map only. librados requests it after a call has waited for the first
            # of these, and checks that as often as the second: Ceph's 10 s and 5 s may exceed the time-out.
            "objecter_timeout": f"{min(10.0, settings.timeout / 3):g}",
            "objecter_tick_interval": f"{min(5.0, settings.timeout / 6):g}",
            # Ceph would print between the lines of the log what its errors say as well.
            "log_to_stderr": "false",
            "err_to_stderr": "false",
        }
        handle: Any = None
        try:
            with translated("connecting", target):
                handle = rados.Rados(conffile=None if settings.monitors else settings.conf, rados_id=settings.user)
                handle.conf_parse_env()  # reads CEPH_ARGS
                for option, value in (options | self._access_options()).items():
                    handle.conf_set(option, value)
                handle.connect()
        except OutcomeUnknown as error:
            raise CephUnavailable(f"connecting {target}: no monitor answers", code=error.code) from error
        except CephError as error:
            code = error.code or 0
            kind, why = self._explain_failure(handle, error)
            raise kind(f"connecting {target}: {why} ({errno_name(code)}, {code})", code=code) from error
        return handle

    def _explain_failure(self, handle: Any, error: CephError) -> tuple[type[CephError], str]:
        """The error's class and text, mostly about the key. The key itself never gets into a text."""
        user, missing = self._settings.user, error.code == errno.ENOENT
        if handle is None:
            conf = self._settings.conf or "(CEPH_CONF or the default paths)"
            why = f"there is no configuration file {conf}" if missing else f"{conf} is not a valid ceph.conf"
            return NotConnected, why
        key, where = self._find_key(handle, user)
        if error.code in {errno.EACCES, errno.EPERM}:
            return KeyUnusable, cephx_keys.explain_refused(key, user, where)
        if missing and key is None and not Path(where).exists():
            return NotConnected, f"there is no key for client.{user}: {where} does not exist"
        if error.code not in cephx_keys.UNUSABLE:
            return NotConnected, f"librados reports no reason: {error}"
        return KeyUnusable, cephx_keys.explain_unusable(key, user, where)

    def _find_key(self, handle: Any, user: str) -> tuple[str | None, str]:
        """The key that librados uses, or None if it cannot be read, and the source of the key."""
        if given := handle.conf_get("key"):
            return given, "userKey or ceph.conf"
        if path := handle.conf_get("keyfile"):
            return _read_text(path), path
        # The option may name several files; librados uses the first that exists.
        paths = [path for one in re.split(r"[,;\s]+", handle.conf_get("keyring")) if (path := one.strip())]
        path = next((path for path in paths if Path(path).exists()), " or ".join(paths) or "keyring")
        return cephx_keys.find_in_keyring(_read_text(path) or "", user), path

    def _access_options(self) -> dict[str, str]:
        access = {"mon_host": ",".join(self._settings.monitors)} if self._settings.monitors else {}
        if self._settings.key is not None:
            access["key"] = self._settings.key
        return access

    def ioctx(self, pool: str | int, namespace: str = "") -> Any:
        """The cached I/O context of the pool; threads may use it at the same time.

        `pool`: its name, or its number, which survives a rename. Raises PoolMissing.
        """
        number = pool if isinstance(pool, int) else self._pool_number(pool)
        if self.pool_name(number) is None:
            raise PoolMissing(f"pool {pool} does not exist in Ceph cluster {self._settings.name}")
        with self._lock:
            ioctx = self._ioctxs.get((number, namespace))
            if ioctx is None:
                with translated("opening", f"pool {pool}"):
                    ioctx = self.rados.open_ioctx2(number)
                ioctx.set_namespace(namespace)
                # Without it, creating and removing block while the pool is full.
                ioctx.set_osdmap_full_try()
                self._ioctxs[number, namespace] = ioctx
        return ioctx

    def _pool_number(self, pool: str) -> int:
        with translated("looking up", f"pool {pool}"):
            number = self.rados.pool_lookup(
                pool
            )  # in the cached map; librados asks the monitors before it returns None
        return -1 if number is None else int(number)

    def pool_name(self, number: int) -> str | None:
        """The present name of the pool; None if the cluster has no pool with this number."""
        with translated("looking up", f"pool number {number}"):
            name = self.rados.pool_reverse_lookup(number) if number >= 0 else None
        return None if name is None else str(name)

    def list_pools(self) -> list[str]:
        with translated("listing", f"the pools of Ceph cluster {self._settings.name}"):
            return sorted(self.rados.list_pools())

    def object_listing(self, pool: str | int, namespace: str = "") -> ObjectListing:
        return ObjectListing(self.ioctx(pool, namespace), self._settings.timeout)

    def data_objects(self, ioctx: Any, number: int | None) -> ObjectListing | None:
        """The objects of the pool that the header's `data_pool` names; None: that pool was deleted."""
        if number is None:
            return ObjectListing(ioctx, self._settings.timeout)
        return None if self.pool_name(number) is None else self.object_listing(number, ioctx.get_namespace())

    def prepared_ioctx(self, pool: str | int, namespace: str, prepare: Callable[[Any], None]) -> Any:
        """The I/O context of the pool, after one successful call of `prepare` with it."""
        ioctx = self.ioctx(pool, namespace)
        key = (prepare, ioctx.get_pool_id(), namespace)
        if key not in self._prepared:
            prepare(ioctx)
            self._prepared.add(key)
        return ioctx

    def cached(self, pool: str | int, namespace: str, read: Callable[[Any], T]) -> T:
        """The result of `read` for the pool, not older than CACHE_SECONDS."""
        ioctx = self.ioctx(pool, namespace)
        key = (read, ioctx.get_pool_id(), namespace)
        at, found = self._cache.get(key, (0.0, None))
        now = time.monotonic()
        if found is None or now - at > CACHE_SECONDS:
            found = read(ioctx)
            self._cache[key] = now, found
        return cast("T", found)

    def fsid(self) -> str:
        with translated("reading", f"the fsid of Ceph cluster {self._settings.name}"):
            return str(self.rados.get_fsid())

    def monitors(self) -> tuple[str, ...]:
        """Addresses (host:port) of the v1 protocol, which Kubernetes' in-tree plugin and the kernel use."""
        dump = self.command("mon dump")
        addresses = [a for mon in dump["mons"] for a in mon["public_addrs"]["addrvec"]]
        return tuple(a["addr"] for a in addresses if a["type"] == "v1")

    def pool_space(self, pool: str) -> PoolSpace:
        for entry in self.command("df")["pools"]:
            if entry["name"] == pool:
                stats, quota = entry["stats"], self.command("osd pool get-quota", pool=pool)
                return PoolSpace(
                    used=stats["bytes_used"],
                    available=stats["max_avail"],
                    quota=quota["quota_max_bytes"] or None,
                    stored=stats["stored"],
                    objects=stats["objects"],
                    quota_objects=quota["quota_max_objects"] or None,
                )
        if self.rados.pool_lookup(pool) is not None:
            raise CephUnavailable(f"Ceph has no statistics of pool {pool} yet")
        raise PoolMissing(f"pool {pool} does not exist in Ceph cluster {self._settings.name}")

    def command(self, prefix: str, **arguments: str) -> Any:
        request = json.dumps({"prefix": prefix, "format": "json", **arguments})
        with translated("monitor command", prefix):
            code, output, message = self.rados.mon_command(request, b"")
            if code:
                raise rados.OSError(message, errno=-code)
        return json.loads(output)

    def close(self) -> None:
        """Disconnects, and blocks while Ceph does not answer."""
        with contextlib.suppress(rados.Error):
            for ioctx in self._ioctxs.values():
                ioctx.close()
            self.rados.shutdown()


def _read_text(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return None
