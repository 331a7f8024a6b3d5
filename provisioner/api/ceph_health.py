"""Checks periodically whether Ceph and its pools answer, for the health check and the status page."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from provisioner.ceph import directory, pool_admin
from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import CephError

INTERVAL_SECONDS = 5.0
"""Seconds between two checks."""
_POOLS_PER_CHECK = 8
"""Pools that one check reads from; the next checks read from the others."""


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    at: float
    """Time of the check, in seconds since 1970."""
    fsid: str | None = None
    ceph: str | None = None
    """Ceph's own status, such as HEALTH_OK."""
    problem: str | None = None
    """Why no monitor answers; None if one does."""
    silent_pools: tuple[str, ...] = ()
    answering_pools: int = 0

    @property
    def status(self) -> str:
        if self.problem or (self.silent_pools and not self.answering_pools):
            return "down"
        return "degraded" if self.silent_pools else "ok"

    @property
    def reason(self) -> str | None:
        if self.problem:
            return self.problem
        return f"{len(self.silent_pools)} pools do not answer" if self.silent_pools else None


class CephHealth:
    def __init__(self, cluster: CephCluster) -> None:
        self._cluster = cluster
        self._silent: dict[str, str] = {}
        self._answering: set[str] = set()
        self._next = 0
        self.current = ClusterHealth(at=0.0, problem="Ceph has not been checked yet")

    async def run(self) -> NoReturn:
        while True:
            await self.check()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def check(self) -> None:
        try:
            fsid, ceph, names = await self._cluster.run("health", _read_from_monitors)
        except CephError as error:
            self.current = ClusterHealth(at=time.time(), fsid=self.current.fsid, problem=str(error))
            return
        await asyncio.gather(*(self._check_pool(name) for name in self._next_pools(names)))
        self._silent = {name: text for name, text in self._silent.items() if name in names}
        self._answering &= set(names)
        self.current = ClusterHealth(
            at=time.time(),
            fsid=fsid,
            ceph=ceph,
            silent_pools=tuple(sorted(self._silent)),
            answering_pools=len(self._answering),
        )

    def _next_pools(self, names: list[str]) -> list[str]:
        """The pools to check now: some of them in rotation, and all that did not answer before."""
        start = self._next % len(names) if names else 0
        self._next = start + _POOLS_PER_CHECK
        return list(
            dict.fromkeys(
                [*(n for n in names if n in self._silent), *(names + names)[start : start + _POOLS_PER_CHECK]]
            )
        )

    async def _check_pool(self, name: str) -> None:
        def work(connection: Connection) -> Any:
            return directory.list_names(connection.ioctx(name), most=1)

        try:
            await self._cluster.run("probe pool", work, pool=name)
        except CephError as error:
            self._silent[name] = str(error)
            self._answering.discard(name)
        else:
            self._silent.pop(name, None)
            self._answering.add(name)


def _read_from_monitors(connection: Connection) -> tuple[str, str, list[str]]:
    health = connection.command("health")
    return (
        connection.fsid(),
        health["status"],
        [pool.name for pool in pool_admin.list_pools(connection) if "rbd" in pool.applications],
    )
