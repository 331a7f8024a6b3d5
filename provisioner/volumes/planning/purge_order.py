"""Decides which image is removed from the trash next, so that none delays the others. Pure: no I/O.

Small images are removed before large ones, and pools take turns. A huge image may take hours: only some of the workers
remove one at a time, and only one of each pool. No pool and no cluster gets all workers.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from sutler.volumes.locations import ImageLocation

WORKERS = 4
"""Images that are removed at the same time, in all clusters."""
HUGE = 1 << 20
"""Number of objects from which on an image is huge: 4 TiB in objects of 4 MiB."""
_MOST_HUGE = WORKERS // 2
_MOST_PER_POOL = WORKERS // 2
_MOST_PER_CLUSTER = WORKERS - 1


@dataclass(frozen=True, slots=True)
class PurgeJob:
    location: ImageLocation
    identifier: str
    """The image's id."""
    objects: int
    """The number of objects that the removal has to visit."""
    key: str = ""
    """The caller's own name for the job."""

    @property
    def pool(self) -> tuple[str, str]:
        """Cluster and pool."""
        return self.location.cluster, self.location.pool

    @property
    def is_huge(self) -> bool:
        return self.objects >= HUGE


class PurgeOrder:
    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[PurgeJob]] = {}
        """By pool, the one that was served last at the end; the jobs of each by size."""
        self._running: list[PurgeJob] = []

    def waiting(self) -> Iterator[PurgeJob]:
        for jobs in self._waiting.values():
            yield from jobs

    def add(self, job: PurgeJob) -> None:
        jobs = self._waiting.setdefault(job.pool, [])
        jobs.append(job)
        jobs.sort(key=lambda one: one.objects)

    def start_next(self) -> PurgeJob | None:
        """Returns the next job and counts it as running; None: wait until a job is done or added."""
        if len(self._running) >= WORKERS:
            return None
        first = [jobs[0] for jobs in self._waiting.values() if not jobs[0].is_huge and self._is_allowed(jobs[0])]
        huge = [jobs[-1] for jobs in self._waiting.values() if jobs[-1].is_huge and self._is_allowed(jobs[-1])]
        # A stream of small images must not delay a huge one forever, either.
        no_huge = not any(job.is_huge for job in self._running)
        chosen = next(iter([*huge, *first] if no_huge else [*first, *huge]), None)
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

    def _is_allowed(self, job: PurgeJob) -> bool:
        pools = Counter(one.pool for one in self._running)
        clusters = Counter(one.location.cluster for one in self._running)
        if pools[job.pool] >= _MOST_PER_POOL or clusters[job.location.cluster] >= _MOST_PER_CLUSTER:
            return False
        huge = [one for one in self._running if one.is_huge]
        return not job.is_huge or (len(huge) < _MOST_HUGE and job.pool not in {one.pool for one in huge})
