"""The cache of copies: what the watch shows, and own writes that it has not shown yet. Pure: no I/O."""

import time
from collections.abc import Callable, Iterator, Mapping

from provisioner.secrets.planning.copies import SecretCopy

RECENT_SECONDS = 30.0
"""How long an own write counts before the watch has shown it. Only an interrupted watch needs longer."""


class CopyCache:
    """The copies as the watch shows them, with the process's own writes that the watch has not shown yet."""

    def __init__(self, watched: Mapping[str, SecretCopy], clock: Callable[[], float] = time.monotonic) -> None:
        self._watched = watched
        self._clock = clock
        self._recent: dict[str, tuple[SecretCopy | None, float]] = {}

    def get(self, target: str) -> SecretCopy | None:
        """The copy at `namespace/name`."""
        recent = self._recent.get(target)
        if recent is None:
            return self._watched.get(target)
        copy, until = recent
        if self._clock() < until:
            return copy
        del self._recent[target]
        return self._watched.get(target)

    def record_write(self, target: str, copy: SecretCopy | None) -> None:
        """Record a write: the copy that the API server returned, or None after a deletion.

        If the watch was faster than the response, there is nothing to record.
        """
        watched = self._watched.get(target)
        if copy is None:
            shown_already = watched is None and target not in self._recent
        else:
            shown_already = watched is not None and (watched == copy or _older(copy.version, watched.version))
        if not shown_already:
            self._recent[target] = (copy, self._clock() + RECENT_SECONDS)

    def record_change(self, target: str, old: SecretCopy | None, new: SecretCopy | None) -> bool:
        """Record a change that the watch showed. It replaces the own write unless it is older.

        Returns whether it is more than this process's own write.
        """
        if target not in self._recent:
            return True
        written, _ = self._recent[target]
        if written is not None:
            if new is None and old is not None and old.uid != written.uid:
                return False
            if new is not None and _older(new.version, written.version):
                return False
        del self._recent[target]
        return new != written

    def targets_of(self, mapping: str) -> Iterator[str]:
        """`namespace/name` of each copy of one mapping."""
        return (target for target, copy in self._watched.items() if copy.mapping == mapping)

    def targets(self) -> Iterator[str]:
        """`namespace/name` of each copy."""
        return iter(self._watched)


def _older(version: str, than: str) -> bool:
    """Whether a resourceVersion is older. Both are numbers on every API server; others are never called older."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)
