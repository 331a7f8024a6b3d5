"""Two controllers that want one Secret each its way would write for ever, as fast as they can. One has to pause."""

import time
from collections.abc import Callable

TIMES = 4
WINDOW = 60.0
"""So often within so many seconds the same content is written to one copy: once made, three times repaired."""


class WriteThrottle:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._writes: dict[str, tuple[bytes, list[float]]] = {}

    def wait(self, target: str, fingerprint: bytes) -> float | None:
        """Seconds to wait before this content is written there once more; None if it may be at once."""
        content, times = self._writes.get(target, (b"", []))
        if content != fingerprint or len(times) < TIMES:
            return None
        left = times[-TIMES] + WINDOW - self._clock()
        return left if left > 0 else None

    def wrote(self, target: str, fingerprint: bytes) -> None:
        content, times = self._writes.get(target, (b"", []))
        earlier = times[1 - TIMES :] if content == fingerprint else []
        self._writes[target] = (fingerprint, [*earlier, self._clock()])

    def forget(self) -> None:
        """Drops what is too long ago to matter."""
        since = self._clock() - WINDOW
        self._writes = {target: write for target, write in self._writes.items() if write[1][-1] > since}
