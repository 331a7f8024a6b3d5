"""Reports the progress of a removal, and marks the image at the moment when the first data is lost.

librbd moves an image to the trash, checks there whether it may be removed, and then removes its objects. It calls back
for each object, first right after the request for the first one. Until then the image is complete.
"""

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from typing import Any

from provisioner.ceph.errors import CephError
from provisioner.ceph.interrupted import InterruptedWork, write_mark

ReportProgress = Callable[[float], None]
"""Called with the share that is done, 0 to 1; raises Cancelled to stop the work."""

_NOTE_INTERVAL_SECONDS = 15.0
"""Seconds between two updates of the progress in the image's metadata."""


class Cancelled(CephError):  # noqa: N818 - named after the condition, as all errors of Ceph
    """The work was stopped on request before it was complete."""


def ignore_progress(_: float) -> None:
    """Ignores the progress of work that takes seconds."""


class RemovalBegun:
    """The callback of librbd for one removal."""

    def __init__(self, ioctx: Any, identifier: str, operation: str, progress: ReportProgress) -> None:
        self._ioctx = ioctx
        self._identifier = identifier
        self._operation = operation
        self._progress = progress
        self._started = int(time.time())
        self._noted = 0.0
        self._share = 0.0
        self._marked = False
        self._stopped: Cancelled | None = None
        self.data_lost = False
        """Whether any data may be lost."""

    def __call__(self, done: int, total: int) -> int:
        share = done / total if total else 0.0
        try:
            self.record_loss(share)
            self.report(share)
        except Cancelled:
            return -errno.ECANCELED
        return 0

    def record_loss(self, share: float = 0.0) -> None:
        """Marks the image. Must be called when the first data is lost, and may be called again."""
        self.data_lost = True
        if self._marked:
            return
        # A failed write is repeated at the next call: a removal that frees a full pool must continue.
        with contextlib.suppress(CephError):
            self._write_mark(share)

    def report(self, share: float) -> None:
        """Reports the share that is done. Raises Cancelled, but not between the first loss of data and its mark."""
        if self._marked and time.monotonic() - self._noted >= _NOTE_INTERVAL_SECONDS:
            with contextlib.suppress(CephError):
                self._write_mark(share)
        self._share = share
        try:
            self._progress(share)
        except Cancelled as error:
            if self._marked or not self.data_lost:
                self._stopped = error
                raise

    def _write_mark(self, share: float, *, stopped: bool = False) -> None:
        note = f"{share:.4f} {self._started} {0 if stopped else int(time.time())}"
        write_mark(self._ioctx, self._identifier, InterruptedWork.REMOVE, self._operation, progress=note)
        self._marked, self._noted = True, time.monotonic()

    @contextlib.contextmanager
    def explaining_stop(self, operation: str, target: str) -> Iterator[None]:
        """Turns the error of a removal that `report` has stopped into Cancelled, and records that it was stopped."""
        try:
            yield
        except CephError as error:
            if self.data_lost:
                with contextlib.suppress(CephError):
                    self._write_mark(self._share, stopped=True)
            if self._stopped is not None and (error is self._stopped or error.code == errno.ECANCELED):
                text = f"{operation} {target} was stopped before it was complete: {self._stopped}"
                raise Cancelled(text, code=errno.ECANCELED) from None
            raise
