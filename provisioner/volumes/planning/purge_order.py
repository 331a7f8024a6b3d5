"""Which image in the trash is removed next, so that none holds up the others: pure.

Small images go before large ones, and pools take turns. A huge image may take hours: only some of the workers have one
at a time, and only one of each pool. No pool and no cluster has all the workers.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from provisioner.volumes.planning.persistent_volume import ImageLocation

WORKERS = 4
"""Images removed at a time, of all clusters."""
HUGE = 1 << 20
"""Objects from which on an image is huge: 4 TiB in objects of 4 MiB."""
_HUGE_AT_A_TIME = WORKERS // 2
_OF_ONE_POOL = WORKERS // 2
_OF_ONE_CLUSTER = WORKERS - 1


@dataclass(frozen=True, slots=True)
class PurgeJob:
    place: ImageLocation
    identifier: str
    objects: int
    key: str = ""
    """What it is known by to those who ask for it."""

    @property
    def pool(self) -> tuple[str, str]:
        return self.place.cluster, self.place.pool

    @property
    def huge(self) -> bool:
        return self.objects >= HUGE


class PurgeOrder:
    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[PurgeJob]] = {}
        """By pool; the pool that was served last is the last."""
        self._running: list[PurgeJob] = []

    def waiting(self) -> Iterator[PurgeJob]:
        for jobs in self._waiting.values():
            yield from jobs

    def add(self, job: PurgeJob) -> None:
        jobs = self._waiting.setdefault(job.pool, [])
        jobs.append(job)
        jobs.sort(key=lambda one: one.objects)

    def take(self) -> PurgeJob | None:
        """The next one, which runs from now on; None: wait until one is done or added."""
        if len(self._running) >= WORKERS:
            return None
        first = [jobs[0] for jobs in self._waiting.values() if not jobs[0].huge and self._may(jobs[0])]
        huge = [jobs[-1] for jobs in self._waiting.values() if jobs[-1].huge and self._may(jobs[-1])]
        # A stream of small ones must not keep a huge one waiting for ever, either.
        none = not any(job.huge for job in self._running)
        chosen = next(iter([*huge, *first] if none else [*first, *huge]), None)
        if chosen is None:
            return None
        jobs = self._waiting.pop(chosen.pool)
        jobs.remove(chosen)
        if jobs:
            self._waiting[chosen.pool] = jobs
        self._running.append(chosen)
        return chosen

    def done(self, job: PurgeJob) -> None:
        self._running.remove(job)

    def _may(self, job: PurgeJob) -> bool:
        pools = Counter(one.pool for one in self._running)
        clusters = Counter(one.place.cluster for one in self._running)
        if pools[job.pool] >= _OF_ONE_POOL or clusters[job.place.cluster] >= _OF_ONE_CLUSTER:
            return False
        huge = [one for one in self._running if one.huge]
        return not job.huge or (len(huge) < _HUGE_AT_A_TIME and job.pool not in {one.pool for one in huge})
