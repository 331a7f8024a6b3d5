"""Leader election by a Lease: one process acts, also when a process hangs, is frozen or can't reach the API server.

A leader may act for `renew_deadline` seconds after *sending* its last successful renewal; the other candidates wait
`duration` seconds after *seeing* a renewal. Sending comes before seeing, so the difference is the time in which the
cancelled work must have ended. Only differences of a process's own clock count, never the times in the Lease.
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
from typing import NoReturn, Self

from sutler import log
from sutler.kube import metrics, times
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, ConfigError, Conflict, KubeError, LeaseLost, NotFound
from sutler.kube.resources import LEASES
from sutler.settings import LeaderElectionSettings
from sutler.typedefs import Json

_log = log.get(__name__)

# A range, so that candidates that were started together don't send requests together.
_JITTER = (1.0, 1.2)
_RELEASE_SECONDS = 3.0
# Of a process whose work does not end after the lease is lost: another leader may be acting already.
_EXIT_STATUS = 70

Lead = Callable[[], Awaitable[None]]


def clock() -> float:
    """Seconds, including the time in which the machine sleeps, where the kernel counts it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class _ClaimResult(Enum):
    """The result of one attempt to acquire or renew the lease."""

    HELD = auto()
    OTHER_HOLDER = auto()
    UNKNOWN = auto()


class Elector:
    """A candidate for the lease, and the fence of its writes."""

    def __init__(
        self,
        client: Client,
        name: str,
        namespace: str,
        *,
        identity: str | None = None,
        duration: float,
        renew_deadline: float,
        retry_period: float,
    ) -> None:
        """All times are in seconds.

        Args:
            client: A client without a fence.
            name: Name of the Lease.
            namespace: Namespace of the Lease.
            identity: The holder's name in the Lease, unique among processes. Default: host name and a random part.
            duration: How long other candidates wait after the last renewal that they saw.
            renew_deadline: How long this process acts after the last renewal that it sent.
            retry_period: Pause between renewals, and between attempts of a candidate.

        Raises:
            ConfigError: unless retry_period < renew_deadline < duration, with a margin for the jitter.
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
        # The Lease as this process last wrote it; None when it has to be read.
        self._written: Json | None = None
        # The version of another holder's Lease, and when it was first seen.
        self._seen, self._seen_at = "", 0.0
        self._leader = ""
        self._problem = ""
        self._metric = metrics.LEADING.labels(name)
        self._metric.set(0)

    @classmethod
    def from_settings(cls, client: Client, name: str, settings: LeaderElectionSettings) -> Self:
        return cls(
            client,
            name,
            settings.namespace,
            duration=settings.lease_duration,
            renew_deadline=settings.renew_deadline,
            retry_period=settings.retry_period,
        )

    def check(self) -> None:
        """Raise LeaseLost unless this process is certainly the leader. Call it before every change; it is cheap."""
        if clock() >= self._may_act_until:
            raise LeaseLost(f"lease {self._namespace}/{self._name} is not held by this process: nothing was changed")

    async def run(self, lead: Lead) -> NoReturn:
        """Be a candidate for ever, and run `lead` while leading. `lead` must not end by itself."""
        while True:
            await self._acquire()
            try:
                await self._lead(lead)
            finally:
                await self._step_down()

    async def _acquire(self) -> None:
        while await self._try() is not _ClaimResult.HELD or clock() >= self._may_act_until:
            await self._pause()
        self._metric.set(1)
        self._leader = self.identity
        _log.info("leading", lease=self._name, identity=self.identity)

    async def _lead(self, lead: Lead) -> None:
        """Return after the lease is lost and the work has ended. Raises when the work ends before that."""
        work = asyncio.ensure_future(lead())
        renewal = asyncio.create_task(self._renew_until_lost(), name=f"renewal of lease {self._name}")
        try:
            await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and clock() < self._may_act_until:
                work.result()
                raise KubeError(f"the work under lease {self._name} ended unexpectedly")
            # Errors of the work after this line most likely come from the lost lease.
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
                    if await self._try() is _ClaimResult.OTHER_HOLDER:
                        self._may_act_until = 0.0
            except TimeoutError:
                continue

    async def _end(self, work: asyncio.Future[None]) -> None:
        """End the work before another process can get the lease; otherwise end this process."""
        deadline = clock() + max(self._duration - self._renew_deadline, self._may_act_until - clock())
        cancelled = False
        work.cancel()
        while not work.done():
            left = deadline - clock()
            if left <= 0:
                _log.critical("the work does not end; the process exits", lease=self._name)
                os._exit(_EXIT_STATUS)
            try:
                await asyncio.wait({work}, timeout=left)
            except asyncio.CancelledError:
                # This task was cancelled. First the work has to end.
                cancelled = True
        if not work.cancelled() and (error := work.exception()) is not None:
            _log.info("the work ended", lease=self._name, error=type(error).__name__)
        if cancelled:
            raise asyncio.CancelledError

    async def _step_down(self) -> None:
        """Release the lease, so that other candidates need not wait until it expires."""
        held = clock() < self._may_act_until
        self._may_act_until = 0.0
        self._metric.set(0)
        if not held:
            return
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                lease = self._written or await self._client.get(LEASES, self._name, self._namespace)
                if _holder(lease) == self.identity:
                    await self._client.replace(LEASES, self._released(lease))
        except (KubeError, TimeoutError) as error:
            _log.info("could not release the lease; it will expire", lease=self._name, error=str(error))
        finally:
            self._written = None

    async def _try(self) -> _ClaimResult:
        """Make one attempt. Errors are logged when they are new."""
        try:
            # Two attempts fit into the time for which the leader may act without a renewal.
            async with asyncio.timeout(self._renew_deadline / 2):
                outcome = await self._attempt()
        except (KubeError, TimeoutError) as error:
            self._written = None
            self._log_problem(str(error) or "timed out")
            return _ClaimResult.UNKNOWN
        except asyncio.CancelledError:
            # The outcome is unknown: releasing the lease has to read it first.
            self._written = None
            raise
        self._log_problem("")
        return outcome

    async def _attempt(self) -> _ClaimResult:
        try:
            return await self._claim(self._written or await self._client.get(LEASES, self._name, self._namespace))
        except NotFound:
            sent = clock()
            try:
                self._record_renewal(await self._client.create(LEASES, self._new()), sent)
            except AlreadyExists:
                return _ClaimResult.UNKNOWN
            return _ClaimResult.HELD
        except Conflict:
            # The Lease has changed: another holder has it, or a user edited its metadata.
            return await self._claim(await self._client.get(LEASES, self._name, self._namespace))

    async def _claim(self, lease: Json) -> _ClaimResult:
        if _holder(lease) not in {"", self.identity} and not self._has_expired(lease):
            self._written = None
            self._log_leader(_holder(lease))
            return _ClaimResult.OTHER_HOLDER
        sent = clock()
        self._record_renewal(await self._client.replace(LEASES, self._renewed(lease)), sent)
        return _ClaimResult.HELD

    def _record_renewal(self, lease: Json, sent: float) -> None:
        self._written = lease
        self._may_act_until = sent + self._renew_deadline

    def _has_expired(self, lease: Json) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen:
            self._seen, self._seen_at = version, clock()
        return clock() >= self._seen_at + float(lease["spec"].get("leaseDurationSeconds") or self._duration)

    def _new(self) -> Json:
        return self._renewed(
            {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._name, "namespace": self._namespace},
            }
        )

    def _renewed(self, lease: Json) -> Json:
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

    def _released(self, lease: Json) -> Json:
        """Without a holder and with the shortest duration, as client-go releases a lease."""
        return {**lease, "spec": {**lease["spec"], "holderIdentity": None, "leaseDurationSeconds": 1}}

    async def _pause(self) -> None:
        await asyncio.sleep(self._retry_period * random.uniform(*_JITTER))  # noqa: S311 - no secret

    def _log_leader(self, leader: str) -> None:
        """Without this line, the log of a process that stands by is empty, as if the process did not run."""
        if leader != self._leader:
            _log.info("waiting for the lease", lease=self._name, leader=leader)
        self._leader = leader

    def _log_problem(self, problem: str) -> None:
        if problem and problem != self._problem:
            _log.warning("could not read or write the lease", lease=self._name, error=problem)
        self._problem = problem


def _holder(lease: Json) -> str:
    """The identity of the holder, "" without one."""
    holder: str = (lease.get("spec") or {}).get("holderIdentity") or ""
    return holder
