"""Leadership by a Lease: at most one process of several acts, also when one hangs, is frozen or can't reach anybody.

The bargain: a leader may act for `renew_deadline` seconds after *sending* its last renewal that succeeded; the others
wait `duration` seconds after *seeing* a renewal. Sending comes before seeing, so the difference is the time in which
the work that has been cancelled must really have ended. Only differences of one's own clock count, never what
another's clock wrote into the Lease.
"""

import asyncio
import math
import os
import random
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import NoReturn

from sutler import log
from sutler.kube import metrics, times
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, ConfigError, Conflict, KubeError, LeaseLost, NotFound
from sutler.kube.resources import LEASES
from sutler.typedefs import Json

_log = log.get(__name__)

# Spread so that candidates that were started together don't ask together.
_JITTER = (1.0, 1.2)
_RELEASE_SECONDS = 3.0
# What ends a process whose work under a lost lease does not end: another one may be at work already.
_EXIT_STATUS = 70

Lead = Callable[[], Awaitable[None]]


def clock() -> float:
    """Seconds that go on while the machine sleeps, where the kernel can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class _Try(Enum):
    """How one attempt at getting or keeping the lease went."""

    OURS = auto()
    THEIRS = auto()
    UNKNOWN = auto()


class Elector:
    def __init__(
        self,
        client: Client,
        name: str,
        namespace: str,
        *,
        identity: str | None = None,
        duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
    ) -> None:
        """All times are in seconds.

        Args:
            client: not a fenced one.
            name: of the Lease.
            namespace: of the Lease.
            identity: who we are in the Lease; no two processes may have the same. Default: host name and a random part.
            duration: how long others wait after the last renewal that they saw.
            renew_deadline: how long we act after the last renewal that we sent.
            retry_period: pause between renewals, and between looks of a candidate.

        Raises:
            ConfigError: unless retry_period < renew_deadline < duration, with room for the jitter.
        """
        if not retry_period * max(_JITTER) < renew_deadline < duration:
            raise ConfigError(
                f"a lease needs a retry period well below the renew deadline, and that below the duration, "
                f"not {retry_period:g}, {renew_deadline:g} and {duration:g} seconds"
            )
        self._client = client
        self._name, self._namespace = name, namespace
        self.identity = identity or f"{socket.gethostname()}_{uuid.uuid4()}"
        self._duration, self._renew_deadline, self._retry_period = duration, renew_deadline, retry_period
        self._may_act_until = 0.0
        # The Lease as we last wrote it, None when it has to be read.
        self._written: Json | None = None
        # Another's Lease: which version, and since when we see no newer one.
        self._seen, self._seen_at = "", 0.0
        self._problem = ""
        self._metric = metrics.LEADING.labels(name)
        self._metric.set(0)

    def check(self) -> None:
        """Raise LeaseLost unless we surely lead now. Cheap: to be called before everything that changes anything."""
        if clock() >= self._may_act_until:
            raise LeaseLost(f"lease {self._namespace}/{self._name} is not ours, or not any more: not acting")

    async def run(self, lead: Lead) -> NoReturn:
        """Be a candidate for ever; while leading, run `lead`, which is not expected to end by itself."""
        while True:
            await self._win()
            try:
                await self._rule(lead)
            finally:
                await self._step_down()

    async def _win(self) -> None:
        while await self._try() is not _Try.OURS or clock() >= self._may_act_until:
            await self._pause()
        self._metric.set(1)
        _log.info("leading", lease=self._name, identity=self.identity)

    async def _rule(self, lead: Lead) -> None:
        """Return when the lease is lost, with the work ended; raise when the work ends before that."""
        work = asyncio.ensure_future(lead())
        renewal = asyncio.create_task(self._renew_until_lost(), name=f"renewal of lease {self._name}")
        try:
            await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and clock() < self._may_act_until:
                work.result()
                raise KubeError(f"the work under lease {self._name} has ended by itself")
            # Work that fails from here on most likely fails because of this.
            _log.warning("lease lost", lease=self._name)
            if renewal.done():
                renewal.result()
        finally:
            renewal.cancel()
            await self._end(work)

    async def _renew_until_lost(self) -> None:
        while (left := self._may_act_until - clock()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._pause()
                    if await self._try() is _Try.THEIRS:
                        self._may_act_until = 0.0
            except TimeoutError:
                continue

    async def _end(self, work: asyncio.Future[None]) -> None:
        """See the work end while nobody else can have the lease; else end the process."""
        deadline = clock() + max(self._duration - self._renew_deadline, self._may_act_until - clock())
        cancelled = False
        work.cancel()
        while not work.done():
            left = deadline - clock()
            if left <= 0:
                _log.critical("the work does not end: ending the process", lease=self._name)
                os._exit(_EXIT_STATUS)
            try:
                await asyncio.wait({work}, timeout=left)
            except asyncio.CancelledError:
                # Ourselves; later, the work's end matters more.
                cancelled = True
        if not work.cancelled() and (error := work.exception()) is not None:
            _log.info("the work has ended", lease=self._name, error=type(error).__name__)
        if cancelled:
            raise asyncio.CancelledError

    async def _step_down(self) -> None:
        """Give the lease back if it is ours, so that others need not wait for its end."""
        surely_ours = clock() < self._may_act_until
        self._may_act_until = 0.0
        self._metric.set(0)
        if not surely_ours:
            return
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                lease = self._written or await self._client.get(LEASES, self._name, self._namespace)
                if _holder(lease) == self.identity:
                    await self._client.replace(LEASES, self._free(lease))
        except (KubeError, TimeoutError) as error:
            _log.info("lease not released, it runs out", lease=self._name, error=str(error))
        finally:
            self._written = None

    async def _try(self) -> _Try:
        """One attempt; errors are logged when they are new, and tried again."""
        try:
            # Two of these fit into the time that we may act without a renewal.
            async with asyncio.timeout(self._renew_deadline / 2):
                outcome = await self._attempt()
        except (KubeError, TimeoutError) as error:
            self._written = None
            self._tell(str(error) or "no answer in time")
            return _Try.UNKNOWN
        except asyncio.CancelledError:
            # Nobody knows whether it was written: giving it back begins with reading it.
            self._written = None
            raise
        self._tell("")
        return outcome

    async def _attempt(self) -> _Try:
        try:
            return await self._take(self._written or await self._client.get(LEASES, self._name, self._namespace))
        except NotFound:
            sent = clock()
            try:
                self._hold(await self._client.create(LEASES, self._new()), sent)
            except AlreadyExists:
                return _Try.UNKNOWN
            return _Try.OURS
        except Conflict:
            # Changed since: ours with somebody's label on it, or another's.
            return await self._take(await self._client.get(LEASES, self._name, self._namespace))

    async def _take(self, lease: Json) -> _Try:
        if _holder(lease) not in {"", self.identity} and not self._has_run_out(lease):
            self._written = None
            return _Try.THEIRS
        sent = clock()
        self._hold(await self._client.replace(LEASES, self._ours(lease)), sent)
        return _Try.OURS

    def _hold(self, lease: Json, sent: float) -> None:
        self._written = lease
        self._may_act_until = sent + self._renew_deadline

    def _has_run_out(self, lease: Json) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen:
            self._seen, self._seen_at = version, clock()
        return clock() >= self._seen_at + float(lease["spec"].get("leaseDurationSeconds") or self._duration)

    def _new(self) -> Json:
        return self._ours(
            {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._name, "namespace": self._namespace},
            }
        )

    def _ours(self, lease: Json) -> Json:
        spec = lease.get("spec") or {}
        now = times.now()
        changed = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._duration),
            "renewTime": now,
        }
        if _holder(lease) != self.identity:
            changed["acquireTime"] = now
            changed["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + 1 if "spec" in lease else 0
        return {**lease, "spec": {**spec, **changed}}

    def _free(self, lease: Json) -> Json:
        """As other implementations give it back: nobody's, with the shortest duration."""
        return {**lease, "spec": {**lease["spec"], "holderIdentity": None, "leaseDurationSeconds": 1}}

    async def _pause(self) -> None:
        await asyncio.sleep(self._retry_period * random.uniform(*_JITTER))  # noqa: S311 - no secret

    def _tell(self, problem: str) -> None:
        if problem and problem != self._problem:
            _log.warning("lease not reached", lease=self._name, error=problem)
        self._problem = problem


def _holder(lease: Json) -> str:
    """Who has it, "" for nobody."""
    holder: str = (lease.get("spec") or {}).get("holderIdentity") or ""
    return holder
