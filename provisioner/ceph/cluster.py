"""A Ceph cluster for asynchronous callers: connected when first needed, and again when the connection is lost."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from provisioner.ceph.circuit_breaker import CircuitBreaker
from provisioner.ceph.connection import ClusterSettings, Connection
from provisioner.ceph.errors import DISCONNECTED, CephError, CephUnavailable, KeyUnusable, OutcomeUnknown, PoolMissing
from provisioner.ceph.metrics import observe, result_of
from provisioner.ceph.pool import RbdPool
from provisioner.ceph.thread_pool import Alive, InFlight, ThreadPool

T = TypeVar("T")

PATIENCE = 3.0
"""Seconds to wait for a free thread or for somebody else's connecting before a call fails as Unavailable."""
DEADLINE_FACTOR = 4
"""An image call is several OSD operations, each with a time-out of its own: together they get this many of them."""
SLOW = 3600.0
"""Seconds for which removing an image may give no sign of life."""


class CephCluster:
    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = settings
        self.name = settings.name
        what = f"Ceph cluster {settings.name}"
        running = InFlight()
        self._quick = ThreadPool(what, running, size=settings.threads, patience=PATIENCE)
        # Removing is slow by nature (every object, one by one): it must not look like a hang, nor be in anybody's way.
        self._slow = ThreadPool(f"{what}, removals", running, size=settings.removals, patience=SLOW)
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._reachable = CircuitBreaker(f"Ceph cluster {settings.name}", probe=settings.connect_timeout)
        self._pools: dict[str, CircuitBreaker] = {}
        self._fsid: str | None = None
        self._osds_answered = False
        self.key_problem: str | None = None
        """Why the last connecting failed, if it was for the key: that does not heal by itself."""

    def pool(self, name: str, namespace: str = "") -> RbdPool:
        return RbdPool(self, name, namespace)

    async def pool_by_number(self, number: int, namespace: str = "") -> RbdPool:
        """Whatever it is called now. Raises PoolMissing if the cluster's own map has none of this number."""
        name = await self.run("pool", lambda connection: connection.pool_name(number))
        if name is None:
            raise PoolMissing(f"pool number {number} does not exist in Ceph cluster {self.name}")
        return RbdPool(self, name, namespace, number)

    async def pools(self) -> list[str]:
        return await self.run("pools", lambda connection: connection.pools())

    async def fsid(self) -> str:
        if self._fsid is None:
            self._fsid = await self.run("fsid", lambda connection: connection.fsid())
        return self._fsid

    async def monitors(self) -> tuple[str, ...]:
        return await self.run("monitors", lambda connection: connection.monitors())

    async def run(
        self,
        operation: str,
        work: Callable[[Connection], T],
        *,
        key: str = "",
        pool: str = "",
        slow: bool = False,
        alive: Alive | None = None,
    ) -> T:
        """Runs a blocking call with the connection.

        `key`: what it changes, if anything, so that it is changed by one call at a time; `pool`: the pool that it
        needs, so that one that does not answer holds up no other; `alive`: of slow work, its last sign of life.
        """
        health = self._pools.setdefault(
            pool, CircuitBreaker(f"pool {pool}" if pool else self.name, probe=self.settings.timeout)
        )
        started = time.monotonic()
        result = "ok"
        try:
            connection = self._connection or await self._connected()
            health.ask()
            threads, limit = (self._slow, SLOW) if slow else (self._quick, self.settings.timeout * DEADLINE_FACTOR)
            what = key or f"{operation} {id(work)}"
            answer = await threads.call(what, lambda: work(connection), deadline=limit, alive=alive)
        except OutcomeUnknown as error:
            result = result_of(error)
            hint = self._hint() if pool else ""
            health.failed(f"Ceph did not answer in time{hint}")
            if error.code == DISCONNECTED:
                self._drop()
            raise OutcomeUnknown(f"{error}{hint}", code=error.code) from error
        except CephError as error:
            result = result_of(error)
            if not isinstance(error, CephUnavailable):
                health.answered()
            raise
        else:
            health.answered()
            self._osds_answered |= bool(pool)
            return answer
        finally:
            observe(operation, result, time.monotonic() - started)

    def _hint(self) -> str:
        """OSDs of Ceph 18 and later do not even let in a user without caps for them, which looks as if they hung."""
        if self._osds_answered:
            return ""
        user = f"client.{self.settings.user}"
        return f"; no OSD has answered {user} yet: check its caps for the OSDs (ceph auth get {user})"

    async def _connected(self) -> Connection:
        self._reachable.look()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._connecting.acquire()
        except TimeoutError:
            raise CephUnavailable(f"Ceph cluster {self.name} does not answer: still connecting") from None
        try:
            if self._connection is None:
                # Whoever waited for the lock while another one failed to connect is told so.
                self._reachable.ask()
                self._connection = await self._connect()
            return self._connection
        finally:
            self._connecting.release()

    async def _connect(self) -> Connection:
        limit = self.settings.connect_timeout + self.settings.timeout
        try:
            connection = await self._quick.call("connecting", lambda: Connection(self.settings), deadline=limit)
        except CephError as error:
            self._reachable.failed(str(error))
            self.key_problem = str(error) if isinstance(error, KeyUnusable) else None
            raise
        self.key_problem = None
        self._reachable.answered()
        return connection

    def _drop(self) -> None:
        """Forgets the connection; the next call makes a new one. Calls that still use the old one keep it alive."""
        self._connection = None

    async def settle(self, seconds: float) -> bool:
        """Waits until no call runs any more; False when some still do after `seconds`."""
        return all(await asyncio.gather(self._quick.settle(seconds), self._slow.settle(seconds)))

    async def close(self) -> None:
        """Disconnects when no call runs any more; with one that hangs the connection is left to the process's end."""
        connection, self._connection = self._connection, None
        if connection is not None and await self.settle(self.settings.timeout):
            await self._quick.call("closing", connection.close, deadline=self.settings.timeout)
