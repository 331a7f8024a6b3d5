"""How long the API server waits for an answer: it says so in the URL, as `?timeout=3s`."""

import re

DEFAULT_SECONDS = 10.0
"""The API's own, for a call that does not say."""
_LONGEST_SECONDS = 30.0
_MOST_KNOWN = 64

_timeout = re.compile(r"[?&]timeout=(\d+(?:\.\d+)?)(ms|s)(?:&|$)").search


class Deadlines:
    """Of the requests to one path. There are as many different URLs as there are webhooks, so they are remembered."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, float] = {}

    def seconds(self, target: str) -> float:
        """For a request's target, path and query. Raises KeyError if it is another path."""
        try:
            return self._known[target]
        except KeyError:
            found = self._read(target)
            if len(self._known) < _MOST_KNOWN:
                self._known[target] = found
            return found

    def _read(self, target: str) -> float:
        if target.partition("?")[0] != self._path:
            raise KeyError(target)
        found = _timeout(target)
        if found is None:
            return DEFAULT_SECONDS
        seconds = float(found[1]) / (1000 if found[2] == "ms" else 1)
        return min(seconds, _LONGEST_SECONDS) or DEFAULT_SECONDS
