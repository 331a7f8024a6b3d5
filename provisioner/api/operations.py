"""Operations: work that may take longer than a request, is polled and cancelled, and survives a crash in its result.

Nothing is stored. The identifier names the work and the image, and the image is marked while the work is unfinished. So
after a restart, the state of an operation follows from its identifier and the image.
"""

import asyncio
import base64
import binascii
import contextlib
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from provisioner.api import audit, problem
from provisioner.api.endpoint import BASE
from provisioner.api.limits import KEPT_OPERATION_SECONDS, KEPT_OPERATIONS
from provisioner.api.schemas.operations import OperationResponse, OperationState
from provisioner.ceph import directory
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.interrupted import explain, operation_of
from provisioner.ceph.removal_progress import Cancelled, ReportProgress
from sutler import log
from sutler.errors import SutlerError

_log = log.get(__name__)

_CANCELLABLE = frozenset({"remove", "purge", "flatten"})
"""The kinds that librbd can stop."""

_UNKNOWN = (
    "the process of this operation has stopped and the image has no mark of it: the operation was finished, or undone "
    "by a later request"
)


@dataclass(frozen=True, slots=True)
class OperationTarget:
    """The kind and the image of an operation, which its identifier encodes."""

    kind: str
    pool: str
    namespace: str
    image: str
    image_id: str

    def identifier(self, started: int) -> str:
        parts = [self.kind, self.pool, self.namespace, self.image, self.image_id, started, secrets.token_hex(4)]
        return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).rstrip(b"=").decode()


def parse_identifier(text: str) -> tuple[OperationTarget, int] | None:
    """The target and the start, in seconds since 1970, of an identifier; None if the text is not one."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        kind, pool, namespace, image, image_id, started, _ = json.loads(data)
    except (binascii.Error, ValueError, TypeError):
        return None
    texts = (kind, pool, namespace, image, image_id)
    if not all(isinstance(one, str) for one in texts) or not isinstance(started, int) or not 0 <= started < 2**32:
        return None
    return OperationTarget(*texts), started


@dataclass(slots=True)
class Operation:
    id: str
    target: OperationTarget
    by: str
    """Name of the user."""
    started: int
    """Seconds since 1970."""
    state: OperationState = OperationState.RUNNING
    progress: float | None = None
    """0 to 1."""
    cancelled: bool = False
    accepted: bool = False
    """The request was answered with 202, so the audit log has no result yet."""
    error: problem.ProblemError | None = None
    finished: int | None = None
    """Seconds since 1970."""
    ended: float = 0.0
    """By time.monotonic."""
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def cancellable(self) -> bool:
        return self.state is OperationState.RUNNING and self.target.kind in _CANCELLABLE

    def report(self, share: float) -> None:
        """Called by threads of librbd, thousands of times a second. Raises Cancelled after a cancellation."""
        self.progress = share
        if self.cancelled:
            raise Cancelled("it was cancelled")

    def to_response(self) -> OperationResponse:
        return OperationResponse(
            id=self.id,
            kind=self.target.kind,
            pool=self.target.pool,
            namespace=self.target.namespace,
            image=self.target.image,
            state=self.state,
            progress=1.0 if self.state is OperationState.SUCCEEDED else self.progress,
            cancellable=self.cancellable,
            detail=str(self.error) if self.error else None,
            status=self.error.kind.status if self.error else None,
            started=to_datetime(self.started),
            finished=to_datetime(self.finished) if self.finished else None,
            by=self.by,
        )


class Operations:
    def __init__(self) -> None:
        self._known: OrderedDict[str, Operation] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, target: OperationTarget, by: str, work: Callable[[str, ReportProgress], Awaitable[None]]
    ) -> Operation:
        """Starts `work` with the operation's identifier and its `report`. The work outlives the request."""
        self._remove_old()
        now = int(time.time())
        operation = Operation(target.identifier(now), target, by, now)
        self._known[operation.id] = operation
        task = asyncio.create_task(self._run(operation, work), name=f"operation {target.kind}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return operation

    def get(self, identifier: str) -> Operation | None:
        return self._known.get(identifier)

    def is_running(self, identifier: str) -> bool:
        known = self._known.get(identifier)
        return known is not None and known.state is OperationState.RUNNING

    def list(self) -> list[Operation]:
        self._remove_old()
        return list(reversed(self._known.values()))

    async def stop(self) -> None:
        """Cancels all operations and waits up to three seconds. The marks on the images remain."""
        for operation in self._known.values():
            operation.cancelled = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3.0)

    async def _run(self, operation: Operation, work: Callable[[str, ReportProgress], Awaitable[None]]) -> None:
        try:
            await work(operation.id, operation.report)
            operation.state = OperationState.SUCCEEDED
        except Cancelled as error:
            operation.state, operation.error = OperationState.CANCELLED, problem.from_error(error)
        except SutlerError as error:
            operation.state, operation.error = OperationState.FAILED, problem.from_error(error)
        except Exception:  # noqa: BLE001 - clients must see the failure
            operation.state = OperationState.FAILED
            operation.error = problem.ProblemError(
                problem.ProblemKind.DEFECT, "an internal error of this service; its log has the details"
            )
            _log.exception("operation failed", operation=operation.id)
        finally:
            operation.finished, operation.ended = int(time.time()), time.monotonic()
            operation.done.set()
            if operation.accepted:
                audit.record_operation(operation)

    def _remove_old(self) -> None:
        now = time.monotonic()
        for identifier, operation in list(self._known.items()):
            old = operation.ended and now - operation.ended > KEPT_OPERATION_SECONDS
            many = operation.ended and len(self._known) > KEPT_OPERATIONS
            if old or many:
                del self._known[identifier]


async def wait_finished(operation: Operation, seconds: float) -> bool:
    """Waits for the end, and returns False if the operation still runs after `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await operation.done.wait()
    return operation.done.is_set()


def path(operation: Operation) -> str:
    return f"{BASE}/operations/{operation.id}"


def to_datetime(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def recall_operation(ioctx: Any, target: OperationTarget, identifier: str, started: int) -> OperationResponse:
    """The state of an operation that this process does not know, by its image."""
    header = directory.find_header(ioctx, target.image_id) if target.image_id else None
    state, detail = judge_by_image(target, identifier, header)
    return OperationResponse(
        id=identifier,
        kind=target.kind,
        pool=target.pool,
        namespace=target.namespace,
        image=target.image,
        state=state,
        progress=1.0 if state is OperationState.SUCCEEDED else None,
        cancellable=False,
        detail=detail,
        status=None,
        started=to_datetime(started),
        finished=None,
        by=None,
    )


def judge_by_image(
    target: OperationTarget, identifier: str, header: ImageHeader | None
) -> tuple[OperationState, str | None]:
    """The state and detail of an operation by the header of its image. Pure: no I/O."""
    if header is None:
        if target.kind in {"remove", "purge"}:
            return OperationState.SUCCEEDED, None
        return OperationState.INTERRUPTED, "the process of this operation has stopped, and the image no longer exists"
    if operation_of(header) == identifier:
        return (
            OperationState.INTERRUPTED,
            f"the process of this operation has stopped, and the image is incomplete: {explain(header)}",
        )
    if target.kind == "flatten":
        done = not header.is_clone
        return (
            (OperationState.SUCCEEDED, None)
            if done
            else (OperationState.INTERRUPTED, "the image is still a clone, and complete; flatten it again")
        )
    if target.kind in {"remove", "purge"}:
        return OperationState.INTERRUPTED, "the operation stopped before any data was lost; the image is complete"
    return OperationState.SUCCEEDED, _UNKNOWN
