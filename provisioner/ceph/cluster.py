"""A Ceph cluster for asynchronous callers. It connects at the first call, and again after the connection is lost."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from provisioner.ceph.circuit_breaker import CircuitBreaker
from provisioner.ceph.connection import ClusterSettings, Connection
from provisioner.ceph.errors import (
    DISCONNECTED,
    CephError,
    CephUnavailable,
    KeyUnusable,
    OutcomeUnknown,
    PoolMissing,
    translated,
)
from provisioner.ceph.metrics import record_operation, result_of
from provisioner.ceph.pool import RbdPool
from provisioner.ceph.thread_pool import InFlight, LastActivity, ThreadPool

T = TypeVar("T")

PATIENCE_SECONDS = 3.0
"""Seconds to wait for a free thread or a running connection attempt before a call raises CephUnavailable."""
DEADLINE_FACTOR = 4
"""A call consists of several OSD operations. Its deadline is this many of their time-outs."""
SLOW_DEADLINE_SECONDS = 3600.0
"""Seconds for which a removal may report no progress."""


class CephCluster:
    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = settings
        self.name = settings.name
        what = f"Ceph cluster {settings.name}"
        running = InFlight()
        self._quick = ThreadPool(what, running, size=settings.threads, patience=PATIENCE_SECONDS)
        # A removal takes long (every object, one by one): it must not count as hung, nor delay other calls.
        self._slow = ThreadPool(f"{what}, removals", running, size=settings.removals, patience=SLOW_DEADLINE_SECONDS)
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._breaker = CircuitBreaker(f"Ceph cluster {settings.name}", probe_seconds=settings.connect_timeout)
        self._breakers: dict[str, CircuitBreaker] = {}
        self._fsid: str | None = None
        self._osds_answered = False
        self.key_problem: str | None = None
        """The error of the last connection attempt if the key caused it: a retry does not help."""

    def pool(self, name: str, namespace: str = "") -> RbdPool:
        return RbdPool(self, name, namespace)

    async def get_pool_by_number(self, number: int, namespace: str = "") -> RbdPool:
        """The pool with this number under its present name. Raises PoolMissing if the cluster's map has none."""
        name = await self.run("pool", lambda connection: connection.pool_name(number))
        if name is None:
            raise PoolMissing(f"pool number {number} does not exist in Ceph cluster {self.name}")
        return RbdPool(self, name, namespace, number)

    async def list_pools(self) -> list[str]:
        return await self.run("pools", lambda connection: connection.list_pools())

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
        last_activity: LastActivity | None = None,
    ) -> T:
        """Runs a blocking call with the connection. Raises CephError.

        `key`: names what the call changes, so that one call at a time changes it. `pool`: the pool that the call needs,
        so that a pool that does not answer delays no others. `slow`: the call may take hours, and `last_activity`
        tells when it last reported progress.
        """
        breaker = self._breakers.setdefault(
            pool, CircuitBreaker(f"pool {pool}" if pool else self.name, probe_seconds=self.settings.timeout)
        )
        started = time.monotonic()
        result = "ok"
        try:
            connection = self._connection or await self._get_connection()
            breaker.try_call()
            threads, limit = (
                (self._slow, SLOW_DEADLINE_SECONDS) if slow else (self._quick, self.settings.timeout * DEADLINE_FACTOR)
            )

            def call() -> T:
                # For what no translation below covers: an error of the binding must not end the controller.
                with translated(operation, f"pool {pool}" if pool else self.name):
                    return work(connection)

            what = key or f"{operation} {id(work)}"
            answer = await threads.call(what, call, deadline=limit, last_activity=last_activity)
        except OutcomeUnknown as error:
            result = result_of(error)
            hint = self._caps_hint() if pool else ""
            breaker.record_failure(f"Ceph did not answer in time{hint}")
            if error.code == DISCONNECTED:
                self._drop_connection()
            raise OutcomeUnknown(f"{error}{hint}", code=error.code) from error
        except CephError as error:
            result = result_of(error)
            if not isinstance(error, CephUnavailable):
                breaker.record_success()
            raise
        else:
            breaker.record_success()
            self._osds_answered |= bool(pool)
            return answer
        finally:
            record_operation(operation, result, time.monotonic() - started)

    def _caps_hint(self) -> str:
        """OSDs of Ceph 18 and later do not answer a user without caps for them, which looks like a hang."""
        if self._osds_answered:
            return ""
        user = f"client.{self.settings.user}"
        return f"; no OSD has answered {user} so far: check its caps for OSDs (ceph auth get {user})"

    async def _get_connection(self) -> Connection:
        self._breaker.check()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._connecting.acquire()
        except TimeoutError:
            raise CephUnavailable(f"Ceph cluster {self.name} does not answer: still connecting") from None
        try:
            if self._connection is None:
                # Raises in calls that waited for the lock while another call failed to connect.
                self._breaker.try_call()
                self._connection = await self._connect()
            return self._connection
        finally:
            self._connecting.release()

    async def _connect(self) -> Connection:
        limit = self.settings.connect_timeout + self.settings.timeout
        try:
            connection = await self._quick.call("connecting", lambda: Connection(self.settings), deadline=limit)
        except CephError as error:
            self._breaker.record_failure(str(error))
            self.key_problem = str(error) if isinstance(error, KeyUnusable) else None
            raise
        self.key_problem = None
        self._breaker.record_success()
        return connection

    def _drop_connection(self) -> None:
        """Lets the next call connect again. Calls that still use the former connection keep it alive."""
        self._connection = None

    async def wait_idle(self, seconds: float) -> bool:
        """Waits until no call runs. Returns False if some still run after `seconds`."""
        return all(await asyncio.gather(self._quick.wait_idle(seconds), self._slow.wait_idle(seconds)))

    async def close(self) -> None:
        """Disconnects once no call runs. If a call hangs, the connection stays open until the process ends."""
        connection, self._connection = self._connection, None
        if connection is not None and await self.wait_idle(self.settings.timeout):
            await self._quick.call("closing", connection.close, deadline=self.settings.timeout)
