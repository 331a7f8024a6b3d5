"""A copy of the API server's objects in memory, trimmed to what is needed, that heals by itself.

List, then watch from there; whatever ends the watch, go on where it ended; when that is no longer possible, list again
and tell the subscribers what they have missed, deletions included.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from time import monotonic
from types import MappingProxyType
from typing import Any, Generic, NoReturn, TypeVar

from sutler import log
from sutler.kube import metrics
from sutler.kube.backoff import Backoff
from sutler.kube.client import Client, selectors
from sutler.kube.errors import ApiError, Gone, KubeError, NotFound
from sutler.kube.resources import Resource
from sutler.kube.watch_stream import (
    StreamBroken,
    WatchEvent,
    WatchLines,
    WatchStalled,
    decode,
    key_of,
    read,
    version_of,
)
from sutler.typedefs import Json

_log = log.get(__name__)

T = TypeVar("T")

# API servers send a bookmark about every minute (with jitter up to 75 s), so silence beyond this means nothing good.
# One that has seen no event of a kind since its start sends none; then a fresh watch each time does no harm.
SILENCE = 80.0
# How long the API server may keep one watch; spread, so that not all of them come back at once.
_WATCH_SECONDS = (240, 480)
# A watch that has lived this long was fine, and what comes after starts with a short pause again.
_STEADY_SECONDS = 10.0
_BACKOFF = Backoff(first=0.2, most=15.0)
# An API server that has just started may not know a CRD yet; for so long that says nothing.
GONE_AFTER = 60.0
# The API server refuses to go on from our version again and again: perhaps it can't know that version any more.
_REFUSALS = 3


@dataclass(frozen=True)
class ObjectChange(Generic[T]):
    """`old` is None for an object that is new to us, `new` for one that is gone."""

    key: str
    old: T | None
    new: T | None


class _Nothing(Enum):
    """Why there is nothing to remember: nothing new, nothing readable."""

    NEW = auto()
    READABLE = auto()


@dataclass(frozen=True)
class _Seen(Generic[T]):
    key: str
    version: str
    kept: T | _Nothing


class Reflector(Generic[T]):
    """Objects of one resource under "namespace/name" (or "name"), as `keep` trims them.

    An object that `keep` fails on is logged and stays as it was known before, or unknown; the others are not held up.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        transform: Callable[[Json], T],
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        silence: float = SILENCE,
        gone_after: float = GONE_AFTER,
    ) -> None:
        """As in Client.list.

        Args:
            client: which API server.
            resource: what.
            keep: makes what is stored out of the whole object, which is thrown away.
            namespace: None for all.
            label_selector: None for all.
            field_selector: None for all.
            metadata_only: fetch no more than the metadata of the objects.
            silence: seconds without a byte after which the connection is given up.
            gone_after: seconds for which the API server may not know the resource before that is believed.
        """
        self._client = client
        self._resource = resource
        self._transform = keep
        self._namespace = namespace
        self._query = selectors(label_selector, field_selector)
        self._metadata_only = metadata_only
        self._silence = silence
        self._gone_after = gone_after
        self._trouble: KubeError | None = None
        self._trouble_since = 0.0
        self._subscribers: list[Callable[[ObjectChange[T]], None]] = []
        self._objects: dict[str, T] = {}
        self._versions: dict[str, str] = {}
        self._version = ""
        self._synced = asyncio.Event()
        self.store: Mapping[str, T] = MappingProxyType(self._objects)
        self._last_event = metrics.REFLECTOR_LAST_EVENT.labels(resource.plural)
        self._held = metrics.REFLECTOR_OBJECTS.labels(resource.plural)
        self._lists = metrics.REFLECTOR_LISTS.labels(resource.plural)

    @property
    def synced(self) -> bool:
        """Whether everything has been listed once. It stays so, also while the API server is away."""
        return self._synced.is_set()

    @property
    def trouble(self) -> str:
        """Why nothing is heard at present, empty while all goes well."""
        return str(self._trouble or "")

    @property
    def gone(self) -> bool:
        """Whether the API server does not know the resource any more, or never did: its CRD is not there."""
        return isinstance(self._trouble, NotFound) and monotonic() - self._trouble_since >= self._gone_after

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def has_seen(self, version: str) -> bool:
        """Whether what was so at this resourceVersion is surely in the store, or something newer."""
        return self._version.isdecimal() and version.isdecimal() and int(self._version) >= int(version)

    def subscribe(self, on_change: Callable[[ObjectChange[T]], None]) -> None:
        """Have `on_change` called for each change, when the store has it already; before `run`. It must not block."""
        self._subscribers.append(on_change)

    async def run(self) -> NoReturn:
        failures = 0
        while True:
            began = monotonic()
            asked = 0.0
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except KubeError as error:
                self._tell(error)
                if not isinstance(error, WatchStalled | Gone):
                    self._trouble_since = self._trouble_since if self._trouble else monotonic()
                    self._trouble = error
                if isinstance(error, ApiError):
                    asked = error.retry_after or 0.0
                if isinstance(error, Gone | StreamBroken) or (isinstance(error, ApiError) and failures >= _REFUSALS):
                    self._version = ""
            failures = 1 if monotonic() - began > _STEADY_SECONDS else failures + 1
            await asyncio.sleep(max(asked, _BACKOFF.delay(failures)))

    async def _list(self) -> None:
        listed, version = await self._client.list_transformed(
            self._resource, self._namespace, transform=self._seen, query=self._query, metadata_only=self._metadata_only
        )
        self._lists.inc()
        self._heard()
        present = {one.key for one in listed}
        for key in [key for key in self._objects if key not in present]:
            self._forget(key)
        for one in listed:
            if not isinstance(one.kept, _Nothing):
                self._remember(one.key, one.version, one.kept)
        self._version = version
        self._synced.set()

    async def _watch(self) -> None:
        query = [
            *self._query,
            ("resourceVersion", self._version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(random.randint(*_WATCH_SECONDS))),  # noqa: S311 - no secret
        ]
        watch = self._client.watch(self._resource, self._namespace, query=query, metadata_only=self._metadata_only)
        async with watch as reader:
            self._heard()
            lines = WatchLines()
            while chunk := await read(reader, self._silence):
                self._heard()
                for line in lines.feed(chunk):
                    self._take(decode(line))

    def _take(self, event: WatchEvent) -> None:
        version = version_of(event.object)
        if _goes_back(self._version, version):
            raise StreamBroken(f"resourceVersion {version} came after {self._version}")
        if event.type == "DELETED":
            self._forget(key_of(event.object))
        elif event.type in {"ADDED", "MODIFIED"}:
            event.object.update(apiVersion=self._resource.api_version, kind=self._resource.kind)
            self._look_at(event.object)
        self._version = version or self._version

    def _look_at(self, obj: Json) -> None:
        one = self._seen(obj)
        if not isinstance(one.kept, _Nothing):
            self._remember(one.key, one.version, one.kept)

    def _seen(self, obj: Json) -> _Seen[T]:
        key, version = key_of(obj), version_of(obj)
        if self._versions.get(key) == version:
            return _Seen(key, version, _Nothing.NEW)
        try:
            return _Seen(key, version, self._transform(obj))
        except Exception:  # noqa: BLE001 - one poisoned object must not hide the others
            _log.exception("an object can't be read; what was known of it stays", **self._name(key))
            return _Seen(key, version, _Nothing.READABLE)

    def _remember(self, key: str, version: str, kept: T) -> None:
        old = self._objects.get(key)
        self._objects[key] = kept
        self._versions[key] = version
        self._changed(ObjectChange(key, old, kept))

    def _forget(self, key: str) -> None:
        self._versions.pop(key, None)
        if key in self._objects:
            self._changed(ObjectChange(key, self._objects.pop(key), None))

    def _changed(self, change: ObjectChange[T]) -> None:
        self._held.set(len(self._objects))
        for on_change in self._subscribers:
            try:
                on_change(change)
            except Exception:  # noqa: BLE001 - the store must go on following
                _log.exception("a subscriber failed", **self._name(change.key))

    def _heard(self) -> None:
        self._last_event.set_to_current_time()
        self._trouble = None

    def _name(self, key: str = "") -> dict[str, str]:
        return {"resource": self._resource.plural} | ({"key": key} if key else {})

    def _tell(self, error: KubeError) -> None:
        if isinstance(error, WatchStalled):
            _log.debug("watch renewed", reason=str(error), **self._name())
        elif isinstance(error, Gone):
            _log.info("watch renewed", reason=str(error), **self._name())
        else:
            _log.warning("watch interrupted", error=str(error), **self._name())


def _goes_back(last: str, now: str) -> bool:
    """Whether a stream has jumped back: events out of order, or an etcd restored from a backup.

    Versions are numbers for everything kept in etcd; where they are not, nothing can be said.
    """
    return last.isdecimal() and now.isdecimal() and int(now) < int(last)


def unready(reflectors: Mapping[str, Reflector[Any]]) -> str | None:
    """For a readiness probe: what has not been seen yet, or is not known to the API server any more, and why."""
    new = {what: each.trouble for what, each in reflectors.items() if not each.synced}
    gone = {what: each.trouble for what, each in reflectors.items() if each.synced and each.gone}
    said = [
        _said(words, found) for words, found in (("not seen yet", new), ("gone from the API server", gone)) if found
    ]
    return "; ".join(said) or None


def _said(words: str, troubles: Mapping[str, str]) -> str:
    why = "; ".join(dict.fromkeys(filter(None, troubles.values())))
    return f"{words}: {', '.join(troubles)}" + (f" ({why})" if why else "")
