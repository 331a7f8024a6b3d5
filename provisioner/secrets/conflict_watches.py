"""Watches of foreign Secrets that have the name of a copy.

The watch of all copies selects Sutler's labels and does not show the deletion of a foreign Secret. A watch of its name
does, and costs little: it fetches the metadata only, and there is none without a conflict.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from sutler.kube.client import Client
from sutler.kube.reflector import ObjectChange, Reflector
from sutler.kube.resources import SECRETS

MOST = 20
"""Names that are watched at the same time, each over its own connection. The copies of others are retried instead."""


class ConflictWatches:
    """Runs watches in `tasks`, while this process leads, and calls `retry` with each free `namespace/name`."""

    def __init__(self, client: Client, tasks: asyncio.TaskGroup, retry: Callable[[str], None]) -> None:
        self._client = client
        self._tasks = tasks
        self._retry = retry
        self._blocked: dict[str, set[str]] = {}
        """Places (`namespace/name`) of foreign Secrets, by name."""
        self._running: dict[str, asyncio.Task[Any]] = {}

    def observe(self, target: str, *, foreign: bool) -> None:
        """Record whether a foreign Secret exists at `namespace/name`."""
        name = target.partition("/")[2]
        if foreign:
            self._blocked.setdefault(name, set()).add(target)
            if name not in self._running and len(self._running) < MOST:
                self._running[name] = self._tasks.create_task(self._watch(name))
        elif name in self._blocked:
            self._blocked[name].discard(target)
            if not self._blocked[name]:
                del self._blocked[name]
                if running := self._running.pop(name, None):
                    running.cancel()

    async def _watch(self, name: str) -> None:
        reflector = Reflector[bool](
            self._client, SECRETS, transform=lambda _: True, field_selector=f"metadata.name={name}", metadata_only=True
        )
        reflector.subscribe(self._changed)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reflector.run())
            await reflector.wait_synced()
            # The watch does not show deletions before its start.
            for target in self._blocked.get(name, set()) - reflector.store.keys():
                self._retry(target)

    def _changed(self, change: ObjectChange[bool]) -> None:
        if change.new is None:
            self._retry(change.key)
