"""Runs the endpoints' calls to Ceph: reads, changes one at a time for each image, and long work as operations."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from provisioner.api import operations
from provisioner.api.endpoint import EndpointResult, RequestContext
from provisioner.api.image_locks import ImageLocks
from provisioner.api.operations import Operation, Operations, OperationTarget
from provisioner.api.problem import ProblemError, ProblemKind
from provisioner.api.work_scheduler import WorkScheduler
from provisioner.ceph import images
from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import CephError, PoolMissing
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.removal_progress import Cancelled, ReportProgress
from provisioner.ceph.trash_entry import TrashEntry

_POOL_CHECK_SECONDS = 5.0
"""Seconds between two checks whether the pool of long work still exists."""

T = TypeVar("T")
P = TypeVar("P", bound=ImageHeader | TrashEntry | None)
Prepare = Callable[[Connection, Any], P]
"""Called with the connection and the pool's I/O context."""
Work = Callable[[Connection, Any, P, str, ReportProgress], None]
"""Called with these, the result of Prepare, the operation's identifier, and a function that reports progress."""


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """A pool, or a RADOS namespace in it."""

    pool: str
    namespace: str = ""

    def key(self, image: str) -> str:
        return f"image {self.pool}/{self.namespace}/{image}"


class Backend:
    def __init__(self, cluster: CephCluster, pools: CephCluster | None) -> None:
        """`pools`: a connection with the credential that may create and delete pools; None without one."""
        self.cluster = cluster
        self._pools = pools
        self.operations = Operations()
        self._locks = ImageLocks()
        self._scheduler = WorkScheduler(cluster.settings.removals)

    async def read(self, operation: str, place: ImagePlace, work: Callable[[Connection, Any], T]) -> T:
        return await self.cluster.run(operation, _with_ioctx(place, work), pool=place.pool)

    async def change(self, operation: str, place: ImagePlace, image: str, work: Callable[[Connection, Any], T]) -> T:
        """Runs a short change. A second change of the same image waits for the first one."""
        async with self._locks.acquire(place.key(image)):
            return await self._do(operation, place, image, work)

    async def run_long(
        self, context: RequestContext, kind: str, place: ImagePlace, image: str, *, prepare: Prepare[P], work: Work[P]
    ) -> Operation:
        """Runs `prepare` within the request, which may reject it, then starts `work`, which outlives the request."""
        async with AsyncExitStack() as stack:
            turn = await stack.enter_async_context(self._locks.acquire(place.key(image)))
            prepared = await self._do(f"check {kind}", place, image, prepare)
            locks = stack.pop_all()

        async def run(identifier: str, progress: ReportProgress) -> None:
            async with locks:
                try:
                    async with self._scheduler.acquire(place.pool, _object_count(prepared), progress):
                        await self._long(
                            kind,
                            place,
                            image,
                            lambda c, ioctx, report: work(c, ioctx, prepared, identifier, report),
                            progress,
                        )
                finally:
                    turn.operation = None

        target = OperationTarget(kind, place.pool, place.namespace, image, prepared.id if prepared is not None else "")
        turn.operation = self.operations.start(target, context.user.name, run)
        return turn.operation

    async def change_pool(self, operation: str, name: str, work: Callable[[Connection], T]) -> T:
        if self._pools is None:
            raise ProblemError(
                ProblemKind.FORBIDDEN,
                "this service has no Ceph credential that may create, change or delete pools",
                accepted="a service started with --pools-user and the keyring of that user",
            )
        pools = self._pools
        async with self._locks.acquire(f"pool {name}"):
            return await pools.run(operation, work, key=f"pool {name}")

    async def _long(
        self,
        kind: str,
        place: ImagePlace,
        image: str,
        work: Callable[[Connection, Any, ReportProgress], T],
        progress: ReportProgress,
    ) -> T:
        seen = time.monotonic()
        deleted = False

        def report(share: float) -> None:
            nonlocal seen
            seen = time.monotonic()
            if deleted:
                raise Cancelled(f"pool {place.pool} was deleted")
            progress(share)

        async def check_pool() -> None:
            # In a deleted pool, librbd counts every object as removed, after a request to the monitors for each.
            nonlocal deleted
            while not deleted:
                await asyncio.sleep(_POOL_CHECK_SECONDS)
                try:
                    await self.cluster.run("pool", lambda connection: connection.ioctx(place.pool))
                except PoolMissing:
                    deleted = True
                except CephError:
                    continue

        checking = asyncio.create_task(check_pool(), name="check the pool")
        try:
            return await self.cluster.run(
                kind,
                _with_ioctx(place, lambda connection, ioctx: work(connection, ioctx, report)),
                key=place.key(image),
                pool=place.pool,
                slow=True,
                last_activity=lambda: seen,
            )
        finally:
            checking.cancel()

    async def _do(self, operation: str, place: ImagePlace, image: str, work: Callable[[Connection, Any], T]) -> T:
        return await self.cluster.run(operation, _with_ioctx(place, work), key=place.key(image), pool=place.pool)


def _object_count(prepared: ImageHeader | TrashEntry | None) -> int:
    header = prepared.header if isinstance(prepared, TrashEntry) else prepared
    return header.max_objects if header is not None else 0


def _with_ioctx(place: ImagePlace, work: Callable[[Connection, Any], T]) -> Callable[[Connection], T]:
    def run(connection: Connection) -> T:
        ioctx = connection.ioctx(place.pool, place.namespace)
        images.require_namespace(ioctx, place.namespace)
        return work(connection, ioctx)

    return run


async def finish_or_accept(
    operation: Operation, context: RequestContext, finished: Callable[[], Awaitable[EndpointResult]]
) -> EndpointResult:
    """The result of `finished` if the operation ends in time, otherwise 202 with the path of the operation."""
    if not await operations.wait_finished(operation, context.wait):
        operation.accepted = True
        headers = {"Location": operations.path(operation), "Retry-After": "1"}
        return EndpointResult(202, operation.to_response(), headers)
    if operation.error is not None:
        raise operation.error
    return await finished()
