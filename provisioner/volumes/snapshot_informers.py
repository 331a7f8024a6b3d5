"""Watches VolumeSnapshots and VolumeSnapshotContents, if the cluster has these kinds.

They come with the snapshot-controller, which many clusters lack. Their absence is no error: nothing is watched until
they exist.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from provisioner.volumes.planning import snapshot_contents
from provisioner.volumes.planning.data_source import SNAPSHOT
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import KubeError
from sutler.kube.reflector import ObjectChange, Reflector
from sutler.kube.resources import VOLUME_SNAPSHOT_CONTENTS, VOLUME_SNAPSHOTS, Resource
from sutler.typedefs import Json
from sutler.volumes import snapshot_keys

_log = log.get(__name__)

RECHECK_SECONDS = 60.0
"""Seconds between two checks whether the cluster has the kind."""

Listener = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CachedContent:
    """The part of a VolumeSnapshotContent that is kept in memory."""

    handle: str
    """snapshotHandle, of the status or else of the source; empty: none yet."""
    deleting: bool
    due: bool
    """Whether Sutler has to do something about the content."""


def content_entry(content: Json, drivers: Collection[str]) -> CachedContent:
    status, source = content.get("status") or {}, content["spec"]["source"]
    return CachedContent(
        handle=status.get("snapshotHandle") or source.get("snapshotHandle") or "",
        deleting="deletionTimestamp" in content["metadata"],
        due=not isinstance(snapshot_contents.decide(content, drivers), snapshot_contents.KeepContent),
    )


class CachedSnapshot(NamedTuple):
    """The part of a VolumeSnapshot that is kept in memory."""

    ready: bool
    protected: bool
    """Whether the snapshot has the finalizer that protects it while a claim is restored from it."""


def snapshot_entry(snapshot: Json) -> CachedSnapshot:
    finalizers = snapshot["metadata"].get("finalizers") or []
    ready = bool((snapshot.get("status") or {}).get("readyToUse"))
    return CachedSnapshot(ready, snapshot_keys.SNAPSHOT_IN_USE in finalizers)


class SnapshotInformers:
    def __init__(self, client: Client, drivers: Collection[str], *, notify_source: Listener) -> None:
        """The client and two details.

        Args:
            client: of the API server.
            drivers: the names of the drivers whose contents Sutler serves.
            notify_source: called with kind/namespace/name of a snapshot that has become ready.
        """
        self.drivers = drivers
        self._client = client
        self._notify_source = notify_source
        self._snapshots = Reflector(client, VOLUME_SNAPSHOTS, transform=snapshot_entry)
        self._on_snapshot: Listener | None = None
        self._snapshots.subscribe(self._snapshot_changed)
        self._contents = Reflector(
            client, VOLUME_SNAPSHOT_CONTENTS, transform=lambda content: content_entry(content, drivers)
        )
        self._on_content: Listener | None = None
        self._contents.subscribe(self._content_changed)

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, Any]]]:
        """Returns the tasks of the watches, which run as long as the process."""
        return [
            ("watch snapshots", self._watch_if_served(self._snapshots, VOLUME_SNAPSHOTS)),
            ("watch snapshot contents", self._watch_if_served(self._contents, VOLUME_SNAPSHOT_CONTENTS)),
        ]

    def set_listener(self, on_content: Listener | None) -> None:
        """Sets the callback for contents that have changed."""
        self._on_content = on_content

    def set_snapshot_listener(self, on_snapshot: Listener | None) -> None:
        """Sets the callback for snapshots (kind/namespace/name) that are protected and have changed."""
        self._on_snapshot = on_snapshot

    def is_protected(self, key: str) -> bool:
        """Whether the snapshot (namespace/name) has the finalizer that protects it while it is restored."""
        snapshot = self._snapshots.store.get(key)
        return snapshot is not None and snapshot.protected

    def protected_snapshots(self) -> list[str]:
        """Returns kind/namespace/name of the snapshots with that finalizer."""
        return [f"{SNAPSHOT}/{key}" for key, snapshot in self._snapshots.store.items() if snapshot.protected]

    @property
    def contents(self) -> Mapping[str, CachedContent]:
        return self._contents.store

    @property
    def contents_synced(self) -> bool:
        return self._contents.synced

    def _content_changed(self, change: ObjectChange[CachedContent]) -> None:
        if self._on_content is not None:
            self._on_content(change.key)

    def _snapshot_changed(self, change: ObjectChange[CachedSnapshot]) -> None:
        source = f"{SNAPSHOT}/{change.key}"
        if change.new is not None and change.new.ready and (change.old is None or not change.old.ready):
            self._notify_source(source)
        if self._on_snapshot is not None and change.new is not None and change.new.protected:
            self._on_snapshot(source)

    async def _watch_if_served(self, reflector: Reflector[Any], resource: Resource) -> NoReturn:
        while True:
            try:
                served = await self._client.is_served(resource)
            except KubeError as error:
                _log.warning("could not check whether the kind exists", resource=resource.plural, error=str(error))
                served = False
            if served:
                await self._watch_until_gone(reflector)
            await asyncio.sleep(RECHECK_SECONDS)

    async def _watch_until_gone(self, reflector: Reflector[Any]) -> None:
        watch = asyncio.ensure_future(reflector.run())
        try:
            while not reflector.gone:
                await asyncio.wait({watch}, timeout=RECHECK_SECONDS)
                if watch.done():
                    watch.result()
        finally:
            watch.cancel()
