"""A cache of the API server's objects of one resource, as client-go's reflector.

It lists, then watches from there. When the watch ends, it continues from the last version; when that is no longer
possible, it lists again and notifies the subscribers of everything that they missed, deletions included.
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
from sutler.kube.backoff import WATCH_BACKOFF
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

# Seconds. API servers send a bookmark about every minute (with jitter up to 75 s), so a longer silence means that the
# connection is dead. An API server without events of a kind sends none; a new watch each time does no harm then.
SILENCE = 80.0
# How long the API server may keep one watch: a range, so that not all of them end at once.
_WATCH_SECONDS = (240, 480)
# After a watch that lived this long, the back-off starts again.
_STEADY_SECONDS = 10.0
# Seconds for which an API server that has just started may not know a CRD yet.
GONE_AFTER = 60.0
# After so many refused watches in a row, the API server may not know the last version any more: list again.
_MOST_REFUSALS = 3


@dataclass(frozen=True)
class ObjectChange(Generic[T]):
    """What happened to one object: `old` is None for a new one, `new` is None for a deleted one."""

    key: str
    old: T | None
    new: T | None


class _NotStored(Enum):
    """Why an object changes nothing in the store."""

    UNCHANGED = auto()
    UNREADABLE = auto()


@dataclass(frozen=True)
class _Received(Generic[T]):
    key: str
    version: str
    entry: T | _NotStored


class Reflector(Generic[T]):
    """Objects of one resource by "namespace/name" (or "name"), reduced by `transform`.

    If `transform` fails for an object, the error is logged and the entry stays as it was; other objects are unaffected.
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
        """Selectors are those of Client.list.

        Args:
            client: The client of the API server.
            resource: The resource to follow.
            transform: Makes the entry to store from the whole object, which is not kept.
            namespace: None for all namespaces.
            label_selector: None for all objects.
            field_selector: None for all objects.
            metadata_only: Fetch only the metadata of the objects.
            silence: Seconds without a byte after which the connection is closed.
            gone_after: Seconds for which the API server may not know the resource before `gone` is true.
        """
        self._client = client
        self._resource = resource
        self._transform = transform
        self._namespace = namespace
        self._query = selectors(label_selector, field_selector)
        self._metadata_only = metadata_only
        self._silence = silence
        self._gone_after = gone_after
        self._error: KubeError | None = None
        self._error_since = 0.0
        self._subscribers: list[Callable[[ObjectChange[T]], None]] = []
        self._objects: dict[str, T] = {}
        self._versions: dict[str, str] = {}
        self._version = ""
        self._synced = asyncio.Event()
        self.store: Mapping[str, T] = MappingProxyType(self._objects)
        self._count = metrics.REFLECTOR_OBJECTS.labels(resource.plural)
        self._lists = metrics.REFLECTOR_LISTS.labels(resource.plural)

    @property
    def synced(self) -> bool:
        """Whether all objects have been listed once. It stays true while the API server is unreachable."""
        return self._synced.is_set()

    @property
    def problem(self) -> str:
        """Why nothing is received at present; empty if all is well."""
        return str(self._error or "")

    @property
    def gone(self) -> bool:
        """Whether the API server does not know the resource: its CRD does not exist (any more)."""
        return isinstance(self._error, NotFound) and monotonic() - self._error_since >= self._gone_after

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def has_seen(self, version: str) -> bool:
        """Whether the store is certainly as new as this resourceVersion."""
        return self._version.isdecimal() and version.isdecimal() and int(self._version) >= int(version)

    def subscribe(self, on_change: Callable[[ObjectChange[T]], None]) -> None:
        """Register `on_change`, before `run`. It is called after each change of the store and must not block."""
        self._subscribers.append(on_change)

    async def run(self) -> NoReturn:
        # The series begins here: to alerts, one that is 0 is a watch that has stalled since 1970.
        metrics.REFLECTOR_LAST_EVENT.labels(self._resource.plural).set_to_current_time()
        failures = 0
        while True:
            began = monotonic()
            retry_after = 0.0
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except KubeError as error:
                self._log_error(error)
                if not isinstance(error, WatchStalled | Gone):
                    self._error_since = self._error_since if self._error else monotonic()
                    self._error = error
                if isinstance(error, ApiError):
                    retry_after = error.retry_after or 0.0
                if isinstance(error, Gone | StreamBroken) or (
                    isinstance(error, ApiError) and failures >= _MOST_REFUSALS
                ):
                    self._version = ""
            failures = 1 if monotonic() - began > _STEADY_SECONDS else failures + 1
            await asyncio.sleep(max(retry_after, WATCH_BACKOFF.delay(failures)))

    async def _list(self) -> None:
        listed, version = await self._client.list_transformed(
            self._resource,
            self._namespace,
            transform=self._receive,
            query=self._query,
            metadata_only=self._metadata_only,
        )
        self._lists.inc()
        self._record_contact()
        present = {item.key for item in listed}
        for key in [key for key in self._objects if key not in present]:
            self._remove(key)
        for item in listed:
            if not isinstance(item.entry, _NotStored):
                self._store(item.key, item.version, item.entry)
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
            self._record_contact()
            lines = WatchLines()
            while chunk := await read(reader, self._silence):
                self._record_contact()
                for line in lines.feed(chunk):
                    self._apply(decode(line))

    def _apply(self, event: WatchEvent) -> None:
        version = version_of(event.object)
        if _is_older(self._version, version):
            raise StreamBroken(f"resourceVersion {version} followed {self._version}")
        if event.type == "DELETED":
            self._remove(key_of(event.object))
        elif event.type in {"ADDED", "MODIFIED"}:
            event.object.update(apiVersion=self._resource.api_version, kind=self._resource.kind)
            self._update(event.object)
        self._version = version or self._version

    def _update(self, obj: Json) -> None:
        item = self._receive(obj)
        if not isinstance(item.entry, _NotStored):
            self._store(item.key, item.version, item.entry)

    def _receive(self, obj: Json) -> _Received[T]:
        key, version = key_of(obj), version_of(obj)
        if self._versions.get(key) == version:
            return _Received(key, version, _NotStored.UNCHANGED)
        try:
            return _Received(key, version, self._transform(obj))
        except Exception:  # noqa: BLE001 - one broken object must not hide the others
            _log.exception("could not read an object; its entry stays as it was", **self._name(key))
            return _Received(key, version, _NotStored.UNREADABLE)

    def _store(self, key: str, version: str, entry: T) -> None:
        old = self._objects.get(key)
        self._objects[key] = entry
        self._versions[key] = version
        self._notify(ObjectChange(key, old, entry))

    def _remove(self, key: str) -> None:
        self._versions.pop(key, None)
        if key in self._objects:
            self._notify(ObjectChange(key, self._objects.pop(key), None))

    def _notify(self, change: ObjectChange[T]) -> None:
        self._count.set(len(self._objects))
        for on_change in self._subscribers:
            try:
                on_change(change)
            except Exception:  # noqa: BLE001 - the store must stay current
                _log.exception("a subscriber failed", **self._name(change.key))

    def _record_contact(self) -> None:
        metrics.REFLECTOR_LAST_EVENT.labels(self._resource.plural).set_to_current_time()
        self._error = None

    def _name(self, key: str = "") -> dict[str, str]:
        return {"resource": self._resource.plural} | ({"key": key} if key else {})

    def _log_error(self, error: KubeError) -> None:
        if isinstance(error, WatchStalled):
            _log.debug("watch renewed", reason=str(error), **self._name())
        elif isinstance(error, Gone):
            _log.info("watch renewed", reason=str(error), **self._name())
        else:
            _log.warning("watch interrupted", error=str(error), **self._name())


def _is_older(last: str, now: str) -> bool:
    """Whether a watch went back to an older version: events out of order, or an etcd restored from a backup.

    Versions of everything in etcd are numbers; others can't be compared.
    """
    return last.isdecimal() and now.isdecimal() and int(now) < int(last)


def unready(reflectors: Mapping[str, Reflector[Any]]) -> str | None:
    """For a readiness probe: which resources are not listed yet or have no CRD any more, and why; None if all are."""
    new = {what: each.problem for what, each in reflectors.items() if not each.synced}
    gone = {what: each.problem for what, each in reflectors.items() if each.synced and each.gone}
    texts = [
        _text(state, found) for state, found in (("not seen yet", new), ("gone from the API server", gone)) if found
    ]
    return "; ".join(texts) or None


def _text(state: str, problems: Mapping[str, str]) -> str:
    reasons = "; ".join(dict.fromkeys(filter(None, problems.values())))
    return f"{state}: {', '.join(problems)}" + (f" ({reasons})" if reasons else "")
