"""Watches the VolumeSnapshotContents, if the cluster has that kind.

The kind comes with the snapshot-controller, which many clusters lack. Its absence is no error: nothing is watched until
the kind exists.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from provisioner.volumes.planning import snapshot_contents
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import KubeError
from sutler.kube.reflector import ObjectChange, Reflector
from sutler.kube.resources import VOLUME_SNAPSHOT_CONTENTS, Resource
from sutler.typedefs import Json

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


class SnapshotInformers:
    def __init__(self, client: Client, drivers: Collection[str]) -> None:
        """`drivers`: the names of the drivers whose contents Sutler serves."""
        self._client = client
        self._contents = Reflector(
            client, VOLUME_SNAPSHOT_CONTENTS, transform=lambda content: content_entry(content, drivers)
        )
        self._on_content: Listener | None = None
        self._contents.subscribe(self._content_changed)

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, Any]]]:
        """Returns the tasks of the watches, which run as long as the process."""
        return [("watch snapshot contents", self._watch_if_served(self._contents, VOLUME_SNAPSHOT_CONTENTS))]

    def set_listener(self, on_content: Listener | None) -> None:
        """Sets the callback for contents that have changed."""
        self._on_content = on_content

    @property
    def contents(self) -> Mapping[str, CachedContent]:
        return self._contents.store

    @property
    def contents_synced(self) -> bool:
        return self._contents.synced

    def _content_changed(self, change: ObjectChange[CachedContent]) -> None:
        if self._on_content is not None:
            self._on_content(change.key)

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
