"""The volumes controller: decides which work is due for a volume, and has it done in order.

There is one work queue. Its keys are names of PersistentVolumes: of the volume that a claim has, or would get. So all
work for one claim and its volume (provision, resize, delete) is done in sequence, and work for different ones in
parallel.
"""

import asyncio
import time
from dataclasses import dataclass
from enum import Enum, auto

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.errors import CephUnavailable
from provisioner.volumes.adopter import Adopter
from provisioner.volumes.cache_entries import CachedClaim
from provisioner.volumes.capacity_publisher import CapacityPublisher
from provisioner.volumes.deleter import Deleter
from provisioner.volumes.flattener import Flattener
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.modifier import VolumeModifier
from provisioner.volumes.orphan_scanner import OrphanScanner
from provisioner.volumes.planning.storage_class import VolumeClass
from provisioner.volumes.provisioner import Provisioner
from provisioner.volumes.refuser import ClaimRefuser
from provisioner.volumes.resizer import Resizer
from provisioner.volumes.trash_purger import TrashPurger
from sutler.kube.errors import NotFound
from sutler.kube.events import EventDeduplicator, EventRecorder
from sutler.kube.resources import STORAGE_CLASSES
from sutler.kube.workqueue import WorkQueue

RECHECK_SECONDS = 15.0
"""Seconds after finished work at which the controller checks whether the work is still due."""


class WorkKind(Enum):
    PROVISION = auto()
    RESIZE = auto()
    DELETE = auto()
    CLEAN_UP = auto()
    """An image was requested for a claim that does not need it any more."""
    ADOPT = auto()
    REFUSE = auto()
    """The claim's StorageClass is invalid."""
    MODIFY = auto()
    """The claim's VolumeAttributesClass has to be applied, and the image resized if the claim requests that, too."""


@dataclass(frozen=True, slots=True)
class DueWork:
    kind: WorkKind
    claim: str = ""
    """namespace/name of the claim, for the kinds of work that concern one."""
    storage_class: str = ""
    """The claim's class."""


class VolumesController:
    """What runs while this process leads. Each leadership has a new one, so that no state of an earlier one is used."""

    def __init__(
        self,
        informers: VolumeInformers,
        clusters: CephClusters,
        events: EventRecorder,
        *,
        provisioner: Provisioner,
        refuser: ClaimRefuser,
        resizer: Resizer,
        modifier: VolumeModifier,
        adopter: Adopter,
        deleter: Deleter,
        flattener: Flattener,
        purger: TrashPurger,
        orphan_scanner: OrphanScanner,
        capacity: CapacityPublisher,
        workers: int,
        settle_seconds: float,
    ) -> None:
        """`settle_seconds`: the longest time that the end waits for running Ceph calls before the lease is released."""
        self._informers = informers
        self._clusters = clusters
        self._events = events
        self._provisioner = provisioner
        self._refuser = refuser
        self._resizer = resizer
        self._modifier = modifier
        self._adopter = adopter
        self._deleter = deleter
        self._flattener = flattener
        self._purger = purger
        self._orphan_scanner = orphan_scanner
        self._capacity = capacity
        self._queue = WorkQueue("volumes", workers=workers)
        self._settle_seconds = settle_seconds
        self._emitted = EventDeduplicator()

    async def run(self) -> None:
        """Works until it is cancelled."""
        await self._informers.wait_synced()
        self._informers.set_listeners(self._volume_changed, self._class_changed)
        try:
            for name in list(self._informers.classes):
                self._report_class(name)
            for volume in self._informers.volume_names():
                self._volume_changed(volume)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._queue.run(self._handle), name="volumes")
                group.create_task(self._purger.run(), name="purge")
                group.create_task(self._flattener.run(), name="flatten")
                group.create_task(self._orphan_scanner.run(), name="orphan scan")
                group.create_task(self._capacity.run(), name="capacity")
        finally:
            self._informers.set_listeners(None, None)
            self._provisioner.reset()
            await self._clusters.wait_idle(self._settle_seconds)

    def _volume_changed(self, volume: str) -> None:
        """Queues the volume if work is due: most changes concern objects that need none."""
        self._flattener.volume_changed(volume)
        if volume in self._informers.volumes:
            self._provisioner.record_observed(volume)
        if self._due(volume) is not None:
            self._queue.add(volume)

    def _class_changed(self, name: str) -> None:
        self._report_class(name)
        for volume in self._informers.volumes_of_class(name):
            self._volume_changed(volume)

    def _report_class(self, name: str) -> None:
        """Emits one event an hour on an invalid class, which lists all its problems."""
        cached = self._informers.classes.get(name)
        if cached is None:
            return
        if cached.problem is None:
            self._emitted.reset(cached.uid)
        elif self._emitted.should_emit(cached.uid, cached.problem, time.monotonic()):
            storage_class = {
                "apiVersion": STORAGE_CLASSES.api_version,
                "kind": STORAGE_CLASSES.kind,
                "metadata": {"name": name, "uid": cached.uid},
            }
            self._events.warning(storage_class, "InvalidParameters", cached.problem)

    def _due(self, volume: str) -> DueWork | None:
        """Returns the work that seems due by the informers; before it is done, the API server is asked."""
        cached = self._informers.volumes.get(volume)
        key, claim = self._informers.claim_of(volume) or ("", None)
        if cached is not None and cached.adopting_claim:
            return DueWork(WorkKind.ADOPT)
        if cached is not None and cached.awaits_deletion:
            return DueWork(WorkKind.DELETE)
        if cached is not None and claim is not None and claim.volume == volume:
            if claim.requests_modify:
                return DueWork(WorkKind.MODIFY, key)
            if claim.requests_resize:
                return DueWork(WorkKind.RESIZE, key)
        if volume in self._informers.volumes or self._provisioner.has_saved(volume):
            return None
        return self._due_without_volume(volume, key, claim)

    def _due_without_volume(self, volume: str, key: str, claim: CachedClaim | None) -> DueWork | None:
        is_pending = self._provisioner.is_pending(volume)
        if claim is not None and not (claim.volume or claim.deleting or self._informers.is_awaiting_adoption(key)):
            if self._is_ready(claim):
                return DueWork(WorkKind.PROVISION, key, claim.storage_class)
            if not is_pending and self._class_problem(claim.storage_class):
                return DueWork(WorkKind.REFUSE, key, claim.storage_class)
        return DueWork(WorkKind.CLEAN_UP) if is_pending else None

    def _is_ready(self, claim: CachedClaim) -> bool:
        """Whether Sutler serves the claim's class, and the claim need not wait for its first Pod."""
        cls = self._class(claim.storage_class)
        return cls is not None and (claim.has_node or not cls.waits_for_consumer)

    def _class(self, name: str) -> VolumeClass | None:
        cached = self._informers.classes.get(name)
        return cached.parsed if cached is not None else None

    def _class_problem(self, name: str) -> str:
        """Returns what is wrong with a class that Sutler serves; empty: nothing."""
        cached = self._informers.classes.get(name)
        return (cached.problem or "") if cached is not None and cached.served else ""

    async def _handle(self, volume: str) -> float | None:
        work = self._due(volume)
        try:
            again = await self._do(volume, work) if work is not None else None
        except CephUnavailable as error:
            # The cause is known, and the error says when to try again: no reason for a growing back-off.
            return error.retry_after
        # Work is still due if the watch has not shown its result yet, or if an answer was wrong.
        return RECHECK_SECONDS if again is None and self._due(volume) is not None else again

    async def _do(self, volume: str, work: DueWork) -> float | None:
        """Returns the seconds after which to try again, if the work knows them."""
        match work.kind:
            case WorkKind.PROVISION:
                return await self._provision(volume, work)
            case WorkKind.RESIZE:
                await self._resizer.resize(work.claim, volume)
            case WorkKind.DELETE:
                await self._flattener.stop(volume)
                await self._deleter.delete(volume)
            case WorkKind.ADOPT:
                return await self._adopter.adopt(volume)
            case WorkKind.CLEAN_UP:
                await self._provisioner.clean_up(volume)
            case WorkKind.REFUSE:
                self._report_class(work.storage_class)
                return await self._refuser.refuse(work.claim, self._class_problem(work.storage_class))
            case WorkKind.MODIFY:
                again = await self._modifier.modify(work.claim, volume)
                claim = self._informers.claims.get(work.claim)
                if claim is not None and claim.requests_resize:
                    await self._resizer.resize(work.claim, volume)
                return again
        return None

    async def _provision(self, volume: str, work: DueWork) -> float | None:
        cls = self._class(work.storage_class)
        if cls is None:
            return None
        try:
            return await self._provisioner.provision(work.claim, cls, lambda: self._informers.claims.get(work.claim))
        except NotFound:
            # The claim or its namespace has been deleted meanwhile.
            await self._provisioner.clean_up(volume)
            return None
