"""How far a removal is, and the moment when data begin to go: the mark on the image comes then and not before.

librbd moves an image to the trash, checks there whether it may be removed, and only then begins with its objects. It
calls back for each object, first right after it has asked for the first one to go. Until then the image is whole.
"""

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from typing import Any

from provisioner.ceph.errors import CephError
from provisioner.ceph.interrupted import InterruptedWork, write_mark

ReportProgress = Callable[[float], None]
"""Told the done part, 0 to 1; raises Cancelled to stop."""

_NOTE_INTERVAL_SECONDS = 15.0
"""Seconds between two notes of how far it is."""


class Cancelled(CephError):  # noqa: N818 - named after what happened, as all of them
    """Stopped because it was asked to, half-way."""


def ignore_progress(_: float) -> None:
    """The progress of work that is over in seconds."""


class RemovalBegun:
    """librbd's callback."""

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
        """Whether any data may be gone."""

    def __call__(self, done: int, total: int) -> int:
        share = done / total if total else 0.0
        try:
            self.record_loss(share)
            self.report(share)
        except Cancelled:
            return -errno.ECANCELED
        return 0

    def record_loss(self, share: float = 0.0) -> None:
        """Called when data begin to go, and as often as one likes after that."""
        self.data_lost = True
        if self._marked:
            return
        # What can't be written now is tried again: a removal that frees a full pool must not stop for it.
        with contextlib.suppress(CephError):
            self._write_mark(share)

    def report(self, share: float) -> None:
        """Raises Cancelled, but not between the beginning and its mark."""
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
        """Says of work that was stopped by its progress that it was."""
        try:
            yield
        except CephError as error:
            if self.data_lost:
                with contextlib.suppress(CephError):
                    self._write_mark(self._share, stopped=True)
            if self._stopped is not None and (error is self._stopped or error.code == errno.ECANCELED):
                text = f"{operation} {target} was stopped half-way: {self._stopped}"
                raise Cancelled(text, code=errno.ECANCELED) from None
            raise
