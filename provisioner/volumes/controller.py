"""Everything that happens to volumes: who is woken by what, and in which order it is done.

There is one work queue, and its keys are names of PersistentVolumes: the one that a claim has, or would get. So what is
done about one claim and its volume, create, grow or delete, is done one after the other, and of different ones side by
side.
"""

import asyncio
import time
from enum import Enum

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.errors import CephUnavailable
from provisioner.volumes.adopter import Adopter
from provisioner.volumes.cache_entries import CachedClaim
from provisioner.volumes.capacity_publisher import CapacityPublisher
from provisioner.volumes.deleter import Deleter
from provisioner.volumes.event_deduplication import AN_HOUR, EventDeduplicator
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.orphan_scanner import OrphanScanner
from provisioner.volumes.planning.storage_class import VolumeClass
from provisioner.volumes.provisioner import Provisioner
from provisioner.volumes.refuser import ClaimRefuser
from provisioner.volumes.resizer import Resizer
from provisioner.volumes.trash_purger import TrashPurger
from sutler.kube.errors import NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import STORAGE_CLASSES
from sutler.kube.workqueue import WorkQueue

LOOK_AGAIN = 15.0
"""Seconds after which it is asked whether what was done has really been done."""


class DueWork(Enum):
    NOTHING = "nothing"
    PROVISION = "provision"
    EXPAND = "expand"
    REMOVE = "remove"
    CLEAN_UP = "clean up"
    ADOPT = "adopt"
    REFUSE = "refuse"
    """The claim's class is not right."""
    REFUSE_CHANGE = "refuse a change"
    """The claim asks for other attributes."""


class VolumesController:
    """What is done while leading. Built anew each time, so that nothing of an earlier time is taken for true."""

    def __init__(
        self,
        watches: VolumeInformers,
        clusters: CephClusters,
        events: EventRecorder,
        *,
        provisioner: Provisioner,
        refuser: ClaimRefuser,
        expander: Resizer,
        adopter: Adopter,
        remover: Deleter,
        purger: TrashPurger,
        reconciler: OrphanScanner,
        capacity: CapacityPublisher,
        workers: int,
        settle: float,
    ) -> None:
        """`settle`: for how many seconds running Ceph calls are waited for before the lease is given up."""
        self._watches = watches
        self._clusters = clusters
        self._events = events
        self._provisioner = provisioner
        self._refuser = refuser
        self._expander = expander
        self._adopter = adopter
        self._remover = remover
        self._purger = purger
        self._reconciler = reconciler
        self._capacity = capacity
        self._queue = WorkQueue("volumes", workers=workers)
        self._settle = settle
        self._reported = EventDeduplicator(AN_HOUR)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._watches.wait_synced()
        self._watches.listen(self._consider, self._class_changed)
        try:
            for name in list(self._watches.classes):
                self._report(name)
            for volume in self._watches.everything():
                self._consider(volume)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._queue.run(self._handle), name="volumes")
                group.create_task(self._purger.run(), name="purge")
                group.create_task(self._reconciler.run(), name="reconcile")
                group.create_task(self._capacity.run(), name="capacity")
        finally:
            self._watches.listen(None, None)
            self._provisioner.leave()
            await self._clusters.settle(self._settle)

    def _consider(self, volume: str) -> None:
        """Queues it, if there is something to do. Most news is not about anything that we have to do."""
        if volume in self._watches.volumes:
            self._provisioner.made.discard(volume)
        if self._due(volume) is not DueWork.NOTHING:
            self._queue.add(volume)

    def _class_changed(self, name: str) -> None:
        self._report(name)
        for volume in self._watches.of_class(name):
            self._consider(volume)

    def _report(self, name: str) -> None:
        """A bad class gets one event an hour that lists everything that is wrong with it."""
        view = self._watches.classes.get(name)
        if view is not None and view.problem is None:
            self._reported.settle(view.uid)
        if view is None or view.problem is None or not self._reported.is_news(view.uid, view.problem, time.monotonic()):
            return
        storage_class = {
            "apiVersion": STORAGE_CLASSES.api_version,
            "kind": STORAGE_CLASSES.kind,
            "metadata": {"name": name, "uid": view.uid},
        }
        self._events.warning(storage_class, "InvalidParameters", view.problem)

    def _due(self, volume: str) -> DueWork:
        """What there seems to be to do, by what the watches know; the API server is asked before it is done."""
        found = self._watches.claim_of(volume)
        claim = found[1] if found else None
        view = self._watches.volumes.get(volume)
        if view is not None and view.adopts:
            return DueWork.ADOPT
        if view is not None and view.ends:
            return DueWork.REMOVE
        if view is not None and claim is not None and claim.grows and claim.volume == volume:
            return DueWork.EXPAND
        if view is not None and claim is not None and claim.modifies and claim.volume == volume:
            return DueWork.REFUSE_CHANGE
        if volume in self._watches.volumes or volume in self._provisioner.made:
            return DueWork.NOTHING
        return self._due_for_claim(volume)

    def _due_for_claim(self, volume: str) -> DueWork:
        """Where there is no volume yet."""
        found = self._watches.claim_of(volume)
        tried = volume in self._provisioner.attempts
        key, claim = found or ("", None)
        if claim is not None and not (claim.volume or claim.deleting or self._watches.awaits_adoption(key)):
            if self._serves(claim):
                return DueWork.PROVISION
            if not tried and self._problem(claim.storage_class):
                return DueWork.REFUSE
        return DueWork.CLEAN_UP if tried else DueWork.NOTHING

    def _serves(self, claim: CachedClaim) -> bool:
        cls = self._class(claim.storage_class)
        return cls is not None and (claim.placed or not cls.waits_for_consumer)

    def _class(self, name: str) -> VolumeClass | None:
        view = self._watches.classes.get(name)
        return view.parsed if view is not None else None

    def _problem(self, name: str) -> str:
        """What is wrong with a class of ours; empty: nothing."""
        view = self._watches.classes.get(name)
        return (view.problem or "") if view is not None and view.ours else ""

    async def _handle(self, volume: str) -> float | None:
        try:
            again = await self._do(volume)
        except CephUnavailable as error:
            # It says when it can be asked again; what is wrong is known, and no reason to wait longer and longer.
            return error.retry_after
        # The watch has yet to show what was done, or somebody in between has lied to one of us.
        return LOOK_AGAIN if again is None and self._due(volume) is not DueWork.NOTHING else again

    async def _do(self, volume: str) -> float | None:
        found = self._watches.claim_of(volume)
        match self._due(volume):
            case DueWork.PROVISION if found is not None:
                return await self._provision(volume, *found)
            case DueWork.EXPAND if found is not None:
                await self._expander.expand(found[0], volume)
            case DueWork.REMOVE:
                await self._remover.remove(volume)
            case DueWork.ADOPT:
                return await self._adopter.adopt(volume)
            case DueWork.CLEAN_UP:
                await self._provisioner.clean_up(volume)
            case DueWork.REFUSE if found is not None:
                self._report(found[1].storage_class)
                return await self._refuser.refuse(found[0], self._problem(found[1].storage_class))
            case DueWork.REFUSE_CHANGE if found is not None:
                return await self._refuser.refuse_change(found[0])
        return None

    async def _provision(self, volume: str, key: str, claim: CachedClaim) -> float | None:
        cls = self._class(claim.storage_class)
        if cls is None:
            return None
        try:
            return await self._provisioner.provision(key, cls, lambda: self._watches.claims.get(key))
        except NotFound:
            # The claim, or its namespace, has gone meanwhile.
            await self._provisioner.clean_up(volume)
            return None
