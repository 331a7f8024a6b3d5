"""Records Events of the core API, without delaying the work. Equal events are counted in one object."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

from cachetools import LRUCache

from sutler import log
from sutler.kube import metrics
from sutler.kube.backoff import EVENT_BACKOFF, EVENT_TRIES
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, ApiError, KubeError, NotFound, TooManyRequests, Unavailable, Unreachable
from sutler.kube.resources import EVENTS
from sutler.text import without_middle
from sutler.typedefs import Json

_log = log.get(__name__)

# Limits of the API: bytes of a message, ASCII characters of a name.
_LONGEST_MESSAGE = 1024
_LONGEST_NAME = 230
EVENT_LIFETIME = 3600.0
"""Seconds after which API servers delete an event, by default."""
# Events whose repeats are counted, for as long as the API server has the event.
_CACHED_GROUPS = 2000
# A repeat changes the count in the API server no more often than this.
_REPEAT_SECONDS = 10.0
# Different messages with one reason on one object; more of them are counted as the last one.
_MOST_MESSAGES = 10
_FLUSH_SECONDS = 2.0
# Seconds between two normal events: one costs the API server as much as the change that it reports.
_NORMAL_PAUSE_SECONDS = 0.02
# When so many normal events wait, more of them are dropped.
_MOST_WAITING = 5000


@dataclass(frozen=True)
class _Reference:
    """The object that an event concerns."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class _Group:
    regarding: _Reference
    type: str
    reason: str


@dataclass
class _Series:
    """Equal events, which are one object in the API server."""

    group: _Group
    message: str
    count: int = 0
    first: str = ""
    last: str = ""
    name: str = ""  # of the Event; the same after an unknown outcome, so that no second one is created
    created: bool = False
    queued: bool = False  # it waits to be sent


@dataclass
class _Messages:
    series: dict[str, _Series] = field(default_factory=dict)


class EventRecorder:
    """`normal` and `warning` only queue an event; `run` sends warnings at once and normal events at a limited rate."""

    def __init__(self, client: Client, component: str) -> None:
        self._client = client
        self._component = component
        self._groups: LRUCache[_Group, _Messages] = LRUCache(_CACHED_GROUPS)
        self._warnings: asyncio.Queue[_Series] = asyncio.Queue()
        self._normals: asyncio.Queue[_Series] = asyncio.Queue()
        self._dropped = metrics.EVENTS_DROPPED.labels(component)

    def normal(self, regarding: Json, reason: str, message: str) -> None:
        """Record a success. `regarding` has apiVersion, kind and metadata; `reason` is CamelCase."""
        self._record(regarding, "Normal", reason, message)

    def warning(self, regarding: Json, reason: str, message: str) -> None:
        """Record a failure that the object's owner should know of."""
        self._record(regarding, "Warning", reason, message)

    async def run(self) -> NoReturn:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_all(self._warnings, 0.0), name="warnings")
                group.create_task(self._send_all(self._normals, _NORMAL_PAUSE_SECONDS), name="normal")
        finally:
            # The last events before the end are often the most interesting ones.
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    for waiting in (self._warnings, self._normals):
                        while not waiting.empty():
                            await self._send(waiting.get_nowait())
        raise AssertionError("the tasks never end")

    async def _send_all(self, waiting: "asyncio.Queue[_Series]", pause: float) -> NoReturn:
        while True:
            series = await waiting.get()
            try:
                await self._send(series)
            except asyncio.CancelledError:
                # The outcome is unknown. Sent again under the same name, it stays one event.
                waiting.put_nowait(series)
                raise
            await asyncio.sleep(pause)

    def _record(self, regarding: Json, type_: str, reason: str, message: str) -> None:
        try:
            group = _Group(_reference(regarding), type_, reason)
        except (KeyError, TypeError, AttributeError):
            _log.error("could not record an event: it concerns no object", reason=reason)
            self._dropped.inc()
            return
        series = self._series(group, without_middle(message, _LONGEST_MESSAGE))
        series.count += 1
        series.last = _now()
        if not series.queued:
            self._enqueue(series)

    def _enqueue(self, series: _Series) -> None:
        normal = series.group.type == "Normal"
        series.queued = not (normal and self._normals.qsize() >= _MOST_WAITING)
        if series.queued:
            (self._normals if normal else self._warnings).put_nowait(series)
        else:
            self._dropped.inc()

    def _series(self, group: _Group, message: str) -> _Series:
        messages = self._groups.setdefault(group, _Messages())
        if message in messages.series:
            return messages.series[message]
        if len(messages.series) >= _MOST_MESSAGES:
            last = next(reversed(messages.series.values()))
            last.message = message
            return last
        return messages.series.setdefault(message, _Series(group, message, first=_now()))

    async def _send(self, series: _Series) -> None:
        for attempt in range(1, EVENT_TRIES + 1):
            try:
                await self._write(series)
            except (Unreachable, Unavailable, TooManyRequests) as error:
                retry_after = error.retry_after if isinstance(error, ApiError) else None
                await asyncio.sleep(max(EVENT_BACKOFF.delay(attempt), retry_after or 0.0))
            except KubeError as error:
                # The namespace is terminating, the name is invalid, or the permission is missing.
                _log.debug("event rejected", reason=series.group.reason, error=str(error))
                break
            else:
                asyncio.get_running_loop().call_later(_REPEAT_SECONDS, self._allow_repeat, series, series.count)
                return
        self._dropped.inc()
        series.queued = False

    def _allow_repeat(self, series: _Series, sent: int) -> None:
        """Let the series be sent again, and send it if it was repeated meanwhile."""
        series.queued = False
        if series.count > sent:
            self._enqueue(series)

    async def _write(self, series: _Series) -> None:
        namespace = series.group.regarding.namespace or "default"
        if series.created:
            update = {"count": series.count, "lastTimestamp": series.last, "message": series.message}
            try:
                await self._client.merge_patch(EVENTS, series.name, update, namespace)
            except NotFound:
                series.name = ""
            else:
                return
        series.name = series.name or f"{series.group.regarding.name[:_LONGEST_NAME]}.{secrets.token_hex(8)}"
        with suppress(AlreadyExists):
            await self._client.create(EVENTS, self._event(series, series.name), namespace)
        series.created = True

    def _event(self, series: _Series, name: str) -> Json:
        regarding = series.group.regarding
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": regarding.namespace or "default"},
            "involvedObject": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
            "type": series.group.type,
            "reason": series.group.reason,
            "message": series.message,
            "count": series.count,
            "firstTimestamp": series.first,
            "lastTimestamp": series.last,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
        }


def _reference(regarding: Json) -> _Reference:
    metadata = regarding["metadata"]
    return _Reference(
        api_version=regarding["apiVersion"],
        kind=regarding["kind"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata.get("uid") or "",
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class EventDeduplicator:
    """Decides whether to emit an event, for conditions that are checked more often than an event is useful."""

    def __init__(self, lifetime: float = EVENT_LIFETIME) -> None:
        """`lifetime`: seconds after which the same message is emitted again, and no longer remembered."""
        self._lifetime = lifetime
        self._emitted: dict[str, tuple[str, float]] = {}
        """Message and time by key, the oldest first."""

    def should_emit(self, key: str, message: str, now: float) -> bool:
        """Whether the message is due for the key at the monotonic time `now`; if so, records it as emitted."""
        self._expire(now)
        if key in self._emitted and self._emitted[key][0] == message:
            return False
        self._emitted.pop(key, None)
        self._emitted[key] = (message, now)
        return True

    def reset(self, key: str) -> None:
        """Records that the condition is over: when it occurs again, its message is due at once."""
        self._emitted.pop(key, None)

    def _expire(self, now: float) -> None:
        while self._emitted:
            key = next(iter(self._emitted))
            if now - self._emitted[key][1] < self._lifetime:
                return
            del self._emitted[key]

    def __len__(self) -> int:
        return len(self._emitted)
