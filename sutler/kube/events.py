"""Events on objects, as `kubectl describe` shows them: never in the way of the work, repeats counted, not repeated."""

import asyncio
import secrets
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

from sutler import log
from sutler.kube import metrics
from sutler.kube.backoff import Backoff
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, ApiError, KubeError, NotFound, TooManyRequests, Unavailable, Unreachable
from sutler.kube.resources import EVENTS
from sutler.text import without_middle
from sutler.typedefs import Json

_log = log.get(__name__)

# Limits of the API: bytes, and characters of ASCII.
_LONGEST_MESSAGE = 1024
_LONGEST_NAME = 230
EVENT_LIFETIME = 3600.0
"""Seconds after which API servers delete an event, by default."""
# Kinds of events remembered to count their repeats, which is needed for no longer than the API server has the event.
_MOST_REMEMBERED = 2000
# A repeat changes the count in the API server no more often than this.
_REPEAT_SECONDS = 10.0
# So many different messages under one reason on one object; more of them are counted as the last one.
_MOST_MESSAGES = 10
_BACKOFF = Backoff(first=1.0, most=5.0)
_TRIES = 3
_LAST_SECONDS = 2.0
# Good news is in no hurry: one costs the API server as much as what it tells of. Between two of them, in seconds.
_BREATH = 0.02
# Good news beyond so many that wait is dropped.
_MOST_WAITING = 5000


@dataclass(frozen=True)
class _Reference:
    """The object an event is about."""

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
    """Equal events: one object in the API server."""

    group: _Group
    message: str
    count: int = 0
    first: str = ""
    last: str = ""
    name: str = ""  # of the Event; kept when creation's outcome is unknown, so that it can't become two
    created: bool = False
    wanted: bool = False  # it waits for being sent


@dataclass
class _Messages:
    series: dict[str, _Series] = field(default_factory=dict)


class EventRecorder:
    """`normal` and `warning` only take note; `run` sends, warnings at once and good news when there is time."""

    def __init__(self, client: Client, component: str) -> None:
        self._client = client
        self._component = component
        self._groups: OrderedDict[_Group, _Messages] = OrderedDict()
        self._warnings: asyncio.Queue[_Series] = asyncio.Queue()
        self._news: asyncio.Queue[_Series] = asyncio.Queue()
        self._dropped = metrics.EVENTS_DROPPED.labels(component)

    def normal(self, regarding: Json, reason: str, message: str) -> None:
        """Something went as it should. `regarding` has apiVersion, kind and metadata; `reason` is CamelCase."""
        self._note(regarding, "Normal", reason, message)

    def warning(self, regarding: Json, reason: str, message: str) -> None:
        """Something that the object's owner should know went wrong."""
        self._note(regarding, "Warning", reason, message)

    async def run(self) -> NoReturn:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_all(self._warnings, 0.0), name="warnings")
                group.create_task(self._send_all(self._news, _BREATH), name="news")
        finally:
            # The last words are often the most interesting ones.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    for waiting in (self._warnings, self._news):
                        while not waiting.empty():
                            await self._send(waiting.get_nowait())
        raise AssertionError("neither ends by itself")

    async def _send_all(self, waiting: "asyncio.Queue[_Series]", pause: float) -> NoReturn:
        while True:
            series = await waiting.get()
            try:
                await self._send(series)
            except asyncio.CancelledError:
                # Nobody knows how far the request got; sent once more under its name, it stays one event.
                waiting.put_nowait(series)
                raise
            await asyncio.sleep(pause)

    def _note(self, regarding: Json, type_: str, reason: str, message: str) -> None:
        try:
            group = _Group(_reference(regarding), type_, reason)
        except (KeyError, TypeError, AttributeError):
            _log.error("an event on something that is no object", reason=reason)
            self._dropped.inc()
            return
        series = self._series(group, without_middle(message, _LONGEST_MESSAGE))
        series.count += 1
        series.last = _now()
        if not series.wanted:
            self._want(series)

    def _want(self, series: _Series) -> None:
        news = series.group.type == "Normal"
        series.wanted = not (news and self._news.qsize() >= _MOST_WAITING)
        if series.wanted:
            (self._news if news else self._warnings).put_nowait(series)
        else:
            self._dropped.inc()

    def _series(self, group: _Group, message: str) -> _Series:
        messages = self._groups.setdefault(group, _Messages())
        self._groups.move_to_end(group)
        if len(self._groups) > _MOST_REMEMBERED:
            self._groups.popitem(last=False)
        if message in messages.series:
            return messages.series[message]
        if len(messages.series) >= _MOST_MESSAGES:
            last = next(reversed(messages.series.values()))
            last.message = message
            return last
        return messages.series.setdefault(message, _Series(group, message, first=_now()))

    async def _send(self, series: _Series) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                await self._write(series)
            except (Unreachable, Unavailable, TooManyRequests) as error:
                asked = error.retry_after if isinstance(error, ApiError) else None
                await asyncio.sleep(max(_BACKOFF.delay(attempt), asked or 0.0))
            except KubeError as error:
                # The namespace is going, the object's name is impossible, or we lack the right.
                _log.debug("event refused", reason=series.group.reason, error=str(error))
                break
            else:
                asyncio.get_running_loop().call_later(_REPEAT_SECONDS, self._rested, series, series.count)
                return
        self._dropped.inc()
        series.wanted = False

    def _rested(self, series: _Series, sent: int) -> None:
        """The series may be sent again, and is if there was more of it meanwhile."""
        series.wanted = False
        if series.count > sent:
            self._want(series)

    async def _write(self, series: _Series) -> None:
        namespace = series.group.regarding.namespace or "default"
        if series.created:
            news = {"count": series.count, "lastTimestamp": series.last, "message": series.message}
            try:
                await self._client.merge_patch(EVENTS, series.name, news, namespace)
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
