"""The progress of a call to Ceph that takes long, and how it is stopped."""

from collections.abc import Callable
from time import monotonic

from provisioner.ceph.removal_progress import Cancelled
from sutler.errors import SutlerError

_FENCE_SECONDS = 1.0
"""Seconds between two checks of running work that this process still leads."""


class WorkProgress:
    def __init__(self, fence: Callable[[], None]) -> None:
        self._fence = fence
        self._fenced = self.started = self.reported = monotonic()
        self.share = 0.0
        """From 0 to 1."""
        self.stop_reason = ""
        """If not empty, the work stops at its next report."""

    def report(self, share: float) -> None:
        """Records the progress; raises Cancelled to stop. librbd's threads call this thousands of times a second."""
        now = monotonic()
        self.share, self.reported = share, now
        if now - self._fenced >= _FENCE_SECONDS:
            self._fenced = now
            try:
                self._fence()
            except SutlerError as error:
                self.stop_reason = str(error)
        if self.stop_reason:
            raise Cancelled(self.stop_reason)

    def seconds_left(self) -> float | None:
        """Returns an estimate; None until there is any progress."""
        return (self.reported - self.started) * (1 - self.share) / self.share if self.share else None
