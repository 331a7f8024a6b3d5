"""Watches mappings, sources, namespaces and copies, and has every copy looked at that a change may concern."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NoReturn

from provisioner.secrets.conflict_watches import ConflictWatches
from provisioner.secrets.planning.actions import CreateCopy, PatchCopy, RecreateCopy, decide
from provisioner.secrets.planning.content import PullSecretSource, source_entry
from provisioner.secrets.planning.copies import SELECTOR, SecretCopy, copy_from_secret
from provisioner.secrets.planning.state import (
    SOON,
    CopyCache,
    DeclaredMapping,
    NamespaceState,
    SecretsState,
    mapping_entry,
    namespace_entry,
)
from provisioner.secrets.planning.status import CopyObstacle
from provisioner.secrets.status_reporter import StatusReporter
from provisioner.secrets.write_throttle import WriteThrottle
from provisioner.secrets.writer import CopyWriter
from sutler.kube.backoff import Backoff
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, KubeError, LeaseLost, NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.reflector import SILENCE, ObjectChange, Reflector, unready
from sutler.kube.resources import NAMESPACES, REGISTRY_MAPPINGS, SECRETS
from sutler.kube.workqueue import WorkQueue

RESYNC = 600.0
"""Seconds after which everything is looked at again, in memory, whatever the watches showed."""

SURPRISES = 3
"""So often in a row a copy may be other than the watch has shown it; then it is an obstacle, and told."""

_LOOK_AGAIN = Backoff(first=0.5, most=300.0)

FOREIGN_LEAST, FOREIGN_MOST = 10.0, 300.0
"""Seconds until the next look at a foreign Secret in the way, for the case that no watch shows its end: as long as it
has been there, within these bounds."""


class Queues:
    """What is to be looked at, for as long as the lease is held."""

    def __init__(self, workers: int) -> None:
        self.copies = WorkQueue("secret-copies", workers=workers)
        # A new namespace's first Pod is about to be created; it does not wait behind a rotation of a thousand copies.
        self.urgent = WorkQueue("secret-copies-of-new-namespaces", workers=max(1, workers // 4))
        self.mappings = WorkQueue("mapping-statuses", workers=1)


class SecretsController:
    """`reflectors` run always; `lead` while this process holds the lease.

    Args:
        client: For reading.
        writing: The same behind the lease: it refuses to write once that is lost.
        events: Where what happens to a mapping is told.
        namespace: Sutler's own, which holds the sources.
        workers: How many copies are written at a time.
        silence: As the reflectors'.
    """

    def __init__(
        self,
        client: Client,
        writing: Client,
        events: EventRecorder,
        *,
        namespace: str,
        workers: int,
        silence: float = SILENCE,
    ) -> None:
        self._mappings = Reflector[DeclaredMapping](client, REGISTRY_MAPPINGS, transform=mapping_entry, silence=silence)
        self._namespaces = Reflector[NamespaceState](
            client, NAMESPACES, transform=namespace_entry, metadata_only=True, silence=silence
        )
        self._sources = Reflector[PullSecretSource](
            client, SECRETS, transform=source_entry, namespace=namespace, silence=silence
        )
        self._secrets = Reflector[SecretCopy](
            client, SECRETS, transform=copy_from_secret, label_selector=SELECTOR, silence=silence
        )
        self.reflectors: dict[str, Reflector[Any]] = {
            "mappings": self._mappings,
            "namespaces": self._namespaces,
            "sources": self._sources,
            "copies": self._secrets,
        }
        copies = CopyCache(self._secrets.store)
        self._world = SecretsState(namespace, self._mappings.store, self._namespaces.store, self._sources.store, copies)
        self._client = client
        self._writer = CopyWriter(writing, copies)
        self._restraint = WriteThrottle()
        self._obstacles: dict[str, CopyObstacle] = {}
        self._surprises: dict[str, int] = {}
        self._reporter = StatusReporter(writing, events, self._world, self._obstacles)
        self._workers = workers
        self._queues: Queues | None = None
        self._foreign: ConflictWatches | None = None
        self._mappings.subscribe(self._mapping_changed)
        self._namespaces.subscribe(self._namespace_changed)
        self._sources.subscribe(self._source_changed)
        self._secrets.subscribe(self._copy_changed)

    def ready(self) -> str | None:
        return unready(self.reflectors)

    async def lead(self) -> None:
        for reflector in self.reflectors.values():
            await reflector.wait_synced()
        self._obstacles.clear()
        self._surprises.clear()
        queues = self._queues = Queues(self._workers)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._foreign = ConflictWatches(self._client, tasks, queues.copies.add)
                tasks.create_task(queues.copies.run(self._handle))
                tasks.create_task(queues.urgent.run(self._handle))
                tasks.create_task(queues.mappings.run(self._reporter.handle))
                tasks.create_task(self._resync(queues))
        finally:
            self._queues = self._foreign = None

    async def _resync(self, queues: Queues) -> NoReturn:
        while True:
            for target in {*self._world.copies.targets(), *self._wanted()}:
                queues.copies.add(target)
            for mapping in self._world.mappings:
                queues.mappings.add(mapping)
            self._restraint.forget()
            await asyncio.sleep(RESYNC)

    def _wanted(self) -> Iterable[str]:
        for declared in self._world.mappings.values():
            if mapping := declared.copying:
                yield from (f"{namespace}/{mapping.secret}" for namespace in self._world.selected(mapping))

    async def _handle(self, target: str) -> float | None:
        """Brings one copy to where it should be. Returns the seconds until the next look, if one is due anyhow."""
        owner = self._world.owner(target) if self._world.open(target.partition("/")[0]) else None
        if owner and not await self._world.prepare(owner):
            return SOON
        action = decide(self._world, target)
        content = action.content if isinstance(action, CreateCopy | PatchCopy | RecreateCopy) else None
        if content and (wait := self._restraint.wait(target, content.fingerprint)):
            self._met(target, CopyObstacle("somebody else changes it again and again"))
            return wait
        try:
            obstacle = await self._writer.apply(target, action)
        except LeaseLost:
            raise
        except (AlreadyExists, Conflict, NotFound) as error:
            return self._surprised(target, error)
        except KubeError as error:
            if isinstance(error, Forbidden) and "being terminated" in error.message:
                return self._surprised(target, error)  # the watch is about to show that the namespace is going
            self._met(target, CopyObstacle(_words(error)))
            raise
        self._surprises.pop(target, None)
        self._met(target, obstacle)
        if obstacle is None:
            if content:
                self._restraint.wrote(target, content.fingerprint)
            return None
        return min(FOREIGN_MOST, max(FOREIGN_LEAST, time.monotonic() - self._obstacles[target].since))

    def _surprised(self, target: str, error: ApiError) -> float:
        """Something is not as the watch has shown it so far, which mostly is over soon."""
        times = self._surprises[target] = self._surprises.get(target, 0) + 1
        if times > SURPRISES:
            self._met(target, CopyObstacle(_words(error)))
        return _LOOK_AGAIN.delay(times)

    def _met(self, target: str, obstacle: CopyObstacle | None) -> None:
        """Remembers what is in the way of a copy, or that nothing is any more."""
        before = self._obstacles.get(target)
        if obstacle is None:
            self._obstacles.pop(target, None)
        else:
            lasting = before is not None and before.foreign == obstacle.foreign
            self._obstacles[target] = replace(obstacle, since=before.since) if before and lasting else obstacle
        if before != obstacle:
            self._report_on_secret(target.partition("/")[2])
            if self._foreign:
                self._foreign.met(target, foreign=obstacle is not None and obstacle.foreign)

    def _mapping_changed(self, change: ObjectChange[DeclaredMapping]) -> None:
        self._world.mapping_changed(change.key, change.old, change.new)
        self._reporter.mapping_changed(change.key)
        if self._queues is None:
            return
        if change.new is not None:
            self._queues.mappings.add(change.key)
            if change.new.same_spec(change.old):
                return
        for declared in (change.old, change.new):
            if declared and declared.mapping:
                self._look_at_selected(declared.mapping.secret, self._world.selected(declared.mapping))
                # The others that want the same Secret gain or lose a rival.
                self._report_on_secret(declared.mapping.secret)
                # What it copies from may itself be the copy of a mapping that is gone.
            if declared and declared.source:
                self._queues.copies.add(f"{self._world.own_namespace}/{declared.source}")
        for target in self._world.copies.of(change.key):
            self._queues.copies.add(target)

    def _namespace_changed(self, change: ObjectChange[NamespaceState]) -> None:
        if self._queues is None:
            return
        queue = self._queues.urgent if change.old is None else self._queues.copies
        for name, declared in self._world.mappings.items():
            mapping = declared.mapping
            seen = [namespace for namespace in (change.old, change.new) if namespace is not None]
            if mapping and any(mapping.selector.matches(namespace.labels) for namespace in seen):
                queue.add(f"{change.key}/{mapping.secret}")
                self._queues.mappings.add(name)

    def _source_changed(self, change: ObjectChange[PullSecretSource]) -> None:
        if self._queues is None:
            return
        secret = change.key.partition("/")[2]
        for name, declared in self._world.mappings.items():
            if declared.mapping and declared.mapping.copy_from == secret:
                self._look_at_selected(declared.mapping.secret, self._world.selected(declared.mapping))
                self._queues.mappings.add(name)

    def _copy_changed(self, change: ObjectChange[SecretCopy]) -> None:
        news = self._world.copies.shown(change.key, change.old, change.new)
        if self._queues is None:
            return
        if news:
            self._queues.copies.add(change.key)
        self._report_on_secret(change.key.partition("/")[2])

    def _look_at_selected(self, secret: str, namespaces: Iterable[str]) -> None:
        if self._queues is not None:
            for namespace in namespaces:
                self._queues.copies.add(f"{namespace}/{secret}")

    def _report_on_secret(self, secret: str) -> None:
        """The status of every mapping that makes Secrets of this name may have changed."""
        if self._queues is not None:
            for mapping in self._world.with_secret(secret):
                self._queues.mappings.add(mapping)


def _words(error: KubeError) -> str:
    """The API server's own, where it has said something."""
    return (isinstance(error, ApiError) and error.message) or str(error)
