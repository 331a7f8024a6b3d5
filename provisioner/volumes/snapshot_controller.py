"""The controller of snapshots: one work queue, whose keys are names of VolumeSnapshotContents."""

from provisioner.ceph.errors import CephUnavailable
from provisioner.volumes.snapshot_informers import SnapshotInformers
from provisioner.volumes.snapshotter import Snapshotter
from sutler.kube.workqueue import WorkQueue

WORKERS = 10
"""Contents that are processed at the same time, as by csi-snapshotter."""


class SnapshotController:
    """What runs while this process leads. Each leadership has a new one."""

    def __init__(self, informers: SnapshotInformers, snapshotter: Snapshotter) -> None:
        self._informers = informers
        self._snapshotter = snapshotter
        self._queue = WorkQueue("snapshots", workers=WORKERS)

    async def run(self) -> None:
        """Works until it is cancelled."""
        self._informers.set_listener(self._content_changed)
        try:
            for name in list(self._informers.contents):
                self._content_changed(name)
            await self._queue.run(self._handle)
        finally:
            self._informers.set_listener(None)

    def _content_changed(self, name: str) -> None:
        cached = self._informers.contents.get(name)
        if cached is not None and cached.due:
            self._queue.add(name)

    async def _handle(self, name: str) -> float | None:
        try:
            await self._snapshotter.sync(name)
        except CephUnavailable as error:
            # The cause is known, and the error says when to try again: no reason for a growing back-off.
            return error.retry_after
        return None
