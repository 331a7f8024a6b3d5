"""What people have been told of, so that it is not said with every piece of news: pure."""

AN_HOUR = 3600.0
"""Seconds after which the API server forgets an event: who still waits is told again then."""


class EventDeduplicator:
    def __init__(self, lasts: float) -> None:
        """`lasts`: the seconds after which it is to be said again, and nothing is remembered any more."""
        self._lasts = lasts
        self._said: dict[str, tuple[str, float]] = {}

    def is_news(self, key: str, message: str, now: float) -> bool:
        """Whether it is to be said now; then it is taken for said."""
        self._forget(now)
        if key in self._said and self._said[key][0] == message:
            return False
        self._said.pop(key, None)
        self._said[key] = (message, now)
        return True

    def settle(self, key: str) -> None:
        """It is right now: if it goes wrong again, that is news."""
        self._said.pop(key, None)

    def _forget(self, now: float) -> None:
        """The oldest are the first."""
        while self._said:
            key = next(iter(self._said))
            if now - self._said[key][1] < self._lasts:
                return
            del self._said[key]

    def __len__(self) -> int:
        return len(self._said)
