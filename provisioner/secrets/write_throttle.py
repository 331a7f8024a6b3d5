"""Limits repeated writes of one copy: two controllers that each restore their own content would never stop."""

import time
from collections.abc import Callable

MOST_WRITES = 4
WINDOW_SECONDS = 60.0
"""The same content is written to one copy at most so often within this time: created once, restored three times."""


class WriteThrottle:
    """The recent writes by `namespace/name`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._writes: dict[str, tuple[bytes, list[float]]] = {}

    def wait(self, target: str, fingerprint: bytes) -> float | None:
        """Seconds to wait before this content may be written again; None if it may be written now."""
        content, times = self._writes.get(target, (b"", []))
        if content != fingerprint or len(times) < MOST_WRITES:
            return None
        left = times[-MOST_WRITES] + WINDOW_SECONDS - self._clock()
        return left if left > 0 else None

    def record(self, target: str, fingerprint: bytes) -> None:
        content, times = self._writes.get(target, (b"", []))
        earlier = times[1 - MOST_WRITES :] if content == fingerprint else []
        self._writes[target] = (fingerprint, [*earlier, self._clock()])

    def clear(self, target: str) -> None:
        """Drop the writes of a copy that Sutler itself has deleted: creating it again fights no other controller."""
        self._writes.pop(target, None)

    def drop_old(self) -> None:
        """Drop writes that are older than the window."""
        since = self._clock() - WINDOW_SECONDS
        self._writes = {target: write for target, write in self._writes.items() if write[1][-1] > since}
