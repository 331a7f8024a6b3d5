"""Removes the finalizers that protect data sources while claims are created from them.

A source is in use as long as there is a claim that names it and has no volume. Nothing else is remembered: after a
restart, the finalizers that are left are found by the watches.
"""

from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning import data_source
from provisioner.volumes.planning.snapshot_contents import finalizer_removal
from provisioner.volumes.snapshot_informers import SnapshotInformers
from sutler.kube.errors import Invalid, NotFound
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, VOLUME_SNAPSHOTS, Resource
from sutler.kube.workqueue import WorkQueue
from sutler.volumes import snapshot_keys

_KINDS: dict[str, tuple[Resource, str]] = {
    data_source.SNAPSHOT: (VOLUME_SNAPSHOTS, snapshot_keys.SNAPSHOT_IN_USE),
    data_source.CLAIM: (PERSISTENT_VOLUME_CLAIMS, snapshot_keys.CLAIM_IN_USE),
}
WORKERS = 2


class SourceProtector:
    """What runs while this process leads. Each leadership has a new one."""

    def __init__(self, context: LeaderContext, volumes: VolumeInformers, snapshots: SnapshotInformers) -> None:
        self._context = context
        self._volumes = volumes
        self._snapshots = snapshots
        self._queue = WorkQueue("sources", workers=WORKERS)

    async def run(self) -> None:
        """Works until it is cancelled."""
        await self._volumes.wait_synced()
        self._volumes.set_source_listener(self._changed)
        self._snapshots.set_snapshot_listener(self._changed)
        try:
            for source in (*self._volumes.protected_claims(), *self._snapshots.protected_snapshots()):
                self._changed(source)
            await self._queue.run(self._handle)
        finally:
            self._volumes.set_source_listener(None)
            self._snapshots.set_snapshot_listener(None)

    def _changed(self, source: str) -> None:
        """`source`: kind/namespace/name of an object that has changed, or of whose users one has."""
        if not self._volumes.has_waiting_claims(source):
            self._queue.add(source)

    async def _handle(self, source: str) -> None:
        kind, namespace, name = source.split("/")
        if kind not in _KINDS or self._volumes.has_waiting_claims(source):
            return
        is_protected = (
            self._volumes.is_protected(f"{namespace}/{name}")
            if kind == data_source.CLAIM
            else self._snapshots.is_protected(f"{namespace}/{name}")
        )
        if not is_protected:
            return
        resource, finalizer = _KINDS[kind]
        obj = await self._context.get_or_none(resource, name, namespace)
        if obj is None or finalizer not in (obj["metadata"].get("finalizers") or []):
            return
        try:
            patch = finalizer_removal(obj["metadata"], finalizer)
            await self._context.client.json_patch(resource, name, patch, namespace)
        except NotFound:
            return
        except Invalid:
            # Others have changed the list: the watch shows it, and the source is handled again.
            self._queue.add_after(source, 1.0)
