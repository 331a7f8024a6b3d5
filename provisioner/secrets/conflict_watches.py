"""Watches over foreign Secrets in the way of copies.

The watch of all copies goes by our labels and does not show when one of these is taken away. A watch of the name in
question does, and costs little: of each Secret it fetches the metadata only, and there is none where nothing is in the
way.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from sutler.kube.client import Client
from sutler.kube.reflector import ObjectChange, Reflector
from sutler.kube.resources import SECRETS

MOST = 20
"""Names that are watched at a time, each over a connection of its own. The others are looked at now and then."""


class ConflictWatches:
    """While the lease is held: runs in `tasks`, and calls `look_again` with each `namespace/name` that is free now."""

    def __init__(self, client: Client, tasks: asyncio.TaskGroup, look_again: Callable[[str], None]) -> None:
        self._client = client
        self._tasks = tasks
        self._look_again = look_again
        self._blocked: dict[str, set[str]] = {}
        """By name of a Secret: where one is in the way."""
        self._running: dict[str, asyncio.Task[Any]] = {}

    def met(self, target: str, *, foreign: bool) -> None:
        """What was found where a copy belongs."""
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
            # What went before the watch began was not shown.
            for target in self._blocked.get(name, set()) - reflector.store.keys():
                self._look_again(target)

    def _changed(self, change: ObjectChange[bool]) -> None:
        if change.new is None:
            self._look_again(change.key)
