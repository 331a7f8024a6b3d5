"""Writes the status of mappings, and tells of its turns in events."""

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
    ready_reason,
    ready_verdict,
    render_status,
    survey_copies,
)
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import REGISTRY_MAPPINGS

if TYPE_CHECKING:
    from sutler.typedefs import Json

PROGRESS_EVERY = 5.0
"""Seconds between two statuses that only count copies on their way."""

FIRST_PROGRESS = 1.0
"""Seconds after which copies on their way are worth a status at all; most are made sooner."""

PACE = 30.0
"""Working out statuses, each of which looks at every namespace, takes at most one part in 31 of the time."""

LONGEST_PACE = 10.0
"""Seconds between two of them at most: a machine that stood still in between must not silence them."""

_log = log.get(__name__)


class StatusReporter:
    def __init__(
        self, client: Client, events: EventRecorder, world: SecretsState, obstacles: Mapping[str, CopyObstacle]
    ) -> None:
        self._client = client
        self._events = events
        self._world = world
        self._obstacles = obstacles
        self._written: dict[str, Json] = {}
        """Ahead of the watch: statuses that it has not shown yet."""
        self._progress_due: dict[str, float] = {}

    def mapping_changed(self, name: str) -> None:
        """The watch shows the mapping anew."""
        self._written.pop(name, None)

    async def handle(self, name: str) -> float | None:
        """Brings one mapping's status up to date. Returns the seconds until it is worth another look."""
        declared = self._world.mappings.get(name)
        if declared is None:
            self._progress_due.pop(name, None)
            return None
        declared = replace(declared, status=self._written.get(name, declared.status))
        if declared.mapping and declared.mapping.copy_from and not await self._world.prepare(declared.mapping):
            return SOON
        began = time.perf_counter()
        found = survey_copies(self._world, declared.mapping, self._obstacles) if declared.mapping else CopySurvey()
        verdict = ready_verdict(self._world, declared, found)
        await asyncio.sleep(min(LONGEST_PACE, PACE * (time.perf_counter() - began)))
        if wait := self._not_yet(name, verdict):
            return wait
        await self._write(declared, found, verdict)
        return None

    def _not_yet(self, name: str, verdict: ReadyVerdict) -> float | None:
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
        operations: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": declared.uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            await self._client.json_patch(REGISTRY_MAPPINGS, declared.name, operations, subresource="status")
        except NotFound:
            return
        self._written[declared.name] = status
        if verdict.reason not in (ready_reason(declared.status), "Copying"):
            self._tell(declared, verdict)

    def _tell(self, declared: DeclaredMapping, verdict: ReadyVerdict) -> None:
        regarding = {
            "apiVersion": REGISTRY_MAPPINGS.api_version,
            "kind": REGISTRY_MAPPINGS.kind,
            "metadata": {"name": declared.name, "uid": declared.uid},
        }
        tell = self._events.normal if verdict.holds else self._events.warning
        tell(regarding, verdict.reason, verdict.message)
        _log.info("mapping", mapping=declared.name, ready=verdict.holds, reason=verdict.reason, message=verdict.message)
