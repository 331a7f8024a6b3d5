"""Writes the status of mappings, and records events when it changes."""

import asyncio
import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.secrets.planning.state import SOON, DeclaredMapping, SecretsState
from provisioner.secrets.planning.status import (
    CopyObstacle,
    CopySurvey,
    ReadyVerdict,
    ready_verdict,
    render_status,
    survey_copies,
)
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import REGISTRY_MAPPINGS
from sutler.registry.mapping import ready_condition

if TYPE_CHECKING:
    from sutler.typedefs import Json

PROGRESS_EVERY = 5.0
"""Seconds between two statuses that only count the progress of copying."""

FIRST_PROGRESS = 1.0
"""Seconds of copying before the first status with progress; most copies are created sooner."""

PACE = 30.0
"""Pause after computing a status, as a multiple of the time that it took: a status reads every namespace."""

LONGEST_PACE = 10.0
"""Seconds that this pause takes at most, also after the machine was suspended."""

_log = log.get(__name__)


class StatusReporter:
    """Reports on mappings, one at a time."""

    def __init__(
        self, client: Client, events: EventRecorder, state: SecretsState, obstacles: Mapping[str, CopyObstacle]
    ) -> None:
        self._client = client
        self._events = events
        self._state = state
        self._obstacles = obstacles
        self._written: dict[str, Json] = {}
        """Own statuses, by mapping, that the watch has not shown yet."""
        self._progress_due: dict[str, float] = {}

    def record_change(self, name: str) -> None:
        """Record that the watch has shown a new version of the mapping."""
        self._written.pop(name, None)

    async def handle(self, name: str) -> float | None:
        """Update the status of one mapping. Returns the seconds after which to try again, if needed."""
        declared = self._state.mappings.get(name)
        if declared is None:
            self._progress_due.pop(name, None)
            return None
        declared = replace(declared, status=self._written.get(name, declared.status))
        if declared.mapping and declared.mapping.copy_from and not await self._state.prepare(declared.mapping):
            return SOON
        began = time.perf_counter()
        found = survey_copies(self._state, declared.mapping, self._obstacles) if declared.mapping else CopySurvey()
        verdict = ready_verdict(self._state, declared, found)
        await asyncio.sleep(min(LONGEST_PACE, PACE * (time.perf_counter() - began)))
        if wait := self._progress_wait(name, verdict):
            return wait
        await self._write(declared, found, verdict)
        return None

    def _progress_wait(self, name: str, verdict: ReadyVerdict) -> float | None:
        if verdict.reason != "Copying":
            self._progress_due.pop(name, None)
            return None
        now = time.monotonic()
        due = self._progress_due.setdefault(name, now + FIRST_PROGRESS)
        if now < due:
            return due - now
        self._progress_due[name] = now + PROGRESS_EVERY
        return None

    async def _write(self, declared: DeclaredMapping, found: CopySurvey, verdict: ReadyVerdict) -> None:
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = render_status(declared, found, verdict, now)
        if status == declared.status:
            return
        try:
            await self._client.write_status(REGISTRY_MAPPINGS, declared.name, declared.uid, status)
        except NotFound:
            return
        self._written[declared.name] = status
        if verdict.reason not in (ready_condition({"status": declared.status}).get("reason", ""), "Copying"):
            self._record_event(declared, verdict)

    def _record_event(self, declared: DeclaredMapping, verdict: ReadyVerdict) -> None:
        regarding = {
            "apiVersion": REGISTRY_MAPPINGS.api_version,
            "kind": REGISTRY_MAPPINGS.kind,
            "metadata": {"name": declared.name, "uid": declared.uid},
        }
        record = self._events.normal if verdict.holds else self._events.warning
        record(regarding, verdict.reason, verdict.message)
        _log.info(
            "status of a mapping changed",
            mapping=declared.name,
            ready=verdict.holds,
            reason=verdict.reason,
            message=verdict.message,
        )
