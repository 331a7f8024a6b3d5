"""Follows mappings, sources, namespaces and copies, and enqueues every copy that a change may concern."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NoReturn

from provisioner.secrets.collector import Collector
from provisioner.secrets.conflict_watches import ConflictWatches
from provisioner.secrets.planning.actions import (
    Action,
    CreateCopy,
    DeleteCopy,
    PatchCopy,
    RecreateCopy,
    collectable,
    decide,
)
from provisioner.secrets.planning.content import PullSecretSource, source_entry
from provisioner.secrets.planning.copies import SELECTOR, SecretCopy, copy_from_secret
from provisioner.secrets.planning.copy_cache import CopyCache
from provisioner.secrets.planning.demand import PENDING, Demand, Names, pod_pull_secrets
from provisioner.secrets.planning.state import (
    SOON,
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
from sutler.kube.resources import NAMESPACES, PODS, REGISTRY_MAPPINGS, SECRETS
from sutler.kube.workqueue import WorkQueue
from sutler.registry.mapping import CopyPolicy, Mapping

RESYNC_SECONDS = 600.0
"""Interval after which every copy and mapping is handled again, by the cached state."""

MOST_LOST_RACES = 3
"""Writes of one copy in a row that may fail because the watch is late; the next one is reported as an obstacle."""

UNUSED_SECONDS = 86_400.0

_RACE_BACKOFF = Backoff(first=0.5, most=300.0)

FOREIGN_LEAST, FOREIGN_MOST = 10.0, 300.0
"""Bounds, in seconds, of the retry interval while a foreign Secret has the name and no watch shows its deletion. The
interval is the time for which it has existed."""


class Queues:
    """The work queues, for as long as this process is the leader."""

    def __init__(self, workers: int) -> None:
        self.copies = WorkQueue("secret-copies", workers=workers)
        # The first Pod of a new namespace comes soon: its copy does not wait behind a rotation of a thousand copies.
        self.urgent = WorkQueue("secret-copies-of-new-namespaces", workers=max(1, workers // 4))
        self.mappings = WorkQueue("mapping-statuses", workers=1)


class SecretsController:
    """Reflectors run always, `lead` runs while this process is the leader.

    Args:
        client: The client for reads.
        writing: The client for writes, fenced by the lease.
        events: The recorder of events on mappings.
        namespace: Sutler's own namespace, which holds the sources.
        workers: Copies written at the same time.
        unused_seconds: Time without a Pod that names it, after which a copy on demand is deleted.
        silence: As of Reflector.
    """

    def __init__(
        self,
        client: Client,
        writing: Client,
        events: EventRecorder,
        *,
        namespace: str,
        workers: int,
        unused_seconds: float = UNUSED_SECONDS,
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
        # Pods are watched if a mapping has copies on demand; a component grants the permission.
        self._pods = Reflector[Names](client, PODS, transform=pod_pull_secrets, field_selector=PENDING, silence=silence)
        self._pods.subscribe(self._observe_pod)
        self._needs_pods = asyncio.Event()
        copies = CopyCache(self._secrets.store)
        self._demand = Demand()
        self._state = SecretsState(
            namespace, self._mappings.store, self._namespaces.store, self._sources.store, copies, demand=self._demand
        )
        self._client = client
        self._writer = CopyWriter(writing, copies)
        self._collector = Collector(client, self._state, unused_seconds)
        self._throttle = WriteThrottle()
        self._obstacles: dict[str, CopyObstacle] = {}
        self._lost_races: dict[str, int] = {}
        self._deleting: set[str] = set()
        self._reporter = StatusReporter(writing, events, self._state, self._obstacles)
        self._workers = workers
        self._queues: Queues | None = None
        self._conflicts: ConflictWatches | None = None
        self._mappings.subscribe(self._observe_mapping)
        self._namespaces.subscribe(self._observe_namespace)
        self._sources.subscribe(self._observe_source)
        self._secrets.subscribe(self._observe_copy)

    def ready(self) -> str | None:
        return unready(self.reflectors)

    async def watch_pods(self) -> NoReturn:
        """Watch Pods, from the first mapping with copies on demand on."""
        await self._needs_pods.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run())
            await self._pods.wait_synced()
            self._demand.begin()
            if self._queues is not None:
                for mapping in self._state.mappings:
                    self._queues.mappings.add(mapping)
        raise AssertionError("a reflector never ends")

    async def lead(self) -> None:
        for reflector in self.reflectors.values():
            await reflector.wait_synced()
        self._obstacles.clear()
        self._lost_races.clear()
        queues = self._queues = Queues(self._workers)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._conflicts = ConflictWatches(self._client, tasks, queues.copies.add)
                tasks.create_task(queues.copies.run(self._handle))
                tasks.create_task(queues.urgent.run(self._handle))
                tasks.create_task(queues.mappings.run(self._reporter.handle))
                tasks.create_task(self._resync(queues))
        finally:
            self._queues = self._conflicts = None

    async def _resync(self, queues: Queues) -> NoReturn:
        while True:
            for target in {*self._state.copies.targets(), *self._declared_targets()}:
                queues.copies.add(target)
            for mapping in self._state.mappings:
                queues.mappings.add(mapping)
            self._throttle.drop_old()
            await asyncio.sleep(RESYNC_SECONDS)

    def _declared_targets(self) -> Iterable[str]:
        for declared in self._state.mappings.values():
            if mapping := declared.copying:
                yield from (f"{namespace}/{mapping.secret}" for namespace in self._state.selected(mapping))

    async def _handle(self, target: str) -> float | None:
        """Reconcile one copy. Returns the seconds after which to handle it again, if needed."""
        owner = self._state.owner(target) if self._state.is_open(target.partition("/")[0]) else None
        if owner and not await self._state.prepare(owner):
            return SOON
        action = decide(self._state, target)
        if owner and (unused := collectable(self._state, owner, target)):
            action = DeleteCopy(unused) if await self._collector.may_delete(owner, target) else action
        content = action.content if isinstance(action, CreateCopy | PatchCopy | RecreateCopy) else None
        if content and (wait := self._throttle.wait(target, content.fingerprint)):
            self._record_obstacle(target, CopyObstacle("another client changes it again and again"))
            return wait
        try:
            obstacle = await self._apply(target, action)
        except LeaseLost:
            raise
        except (AlreadyExists, Conflict, NotFound) as error:
            return self._record_lost_race(target, error)
        except KubeError as error:
            if isinstance(error, Forbidden) and "being terminated" in error.message:
                return self._record_lost_race(target, error)  # the watch will show that soon
            self._record_obstacle(target, CopyObstacle(_message(error)))
            raise
        self._lost_races.pop(target, None)
        self._record_obstacle(target, obstacle)
        if obstacle is None:
            if content:
                self._throttle.record(target, content.fingerprint)
            return self._record_change(owner, target, action) if owner else None
        return min(FOREIGN_MOST, max(FOREIGN_LEAST, time.monotonic() - self._obstacles[target].since))

    async def _apply(self, target: str, action: Action) -> CopyObstacle | None:
        """The watch may show an own deletion before the API server has answered it."""
        if not isinstance(action, DeleteCopy):
            return await self._writer.apply(target, action)
        self._deleting.add(target)
        try:
            return await self._writer.apply(target, action)
        except NotFound:
            self._demand.hold(target)  # another client was faster, and a running Pod may need it
            raise
        finally:
            self._deleting.discard(target)

    def _record_change(self, owner: Mapping, target: str, action: Action) -> float | None:
        """Record that a copy was created or that an unused one was deleted. Returns seconds until the next check."""
        if isinstance(action, CreateCopy):
            self._collector.record_creation(target)
        elif isinstance(action, DeleteCopy):
            self._collector.record_deletion(target)
            self._throttle.clear(target)
            # A Pod that was created during the deletion gets its copy at once.
            return 0.0 if self._state.is_needed(owner, target) else None
        return None

    def _record_lost_race(self, target: str, error: ApiError) -> float:
        """Record that the API server has a newer state than the watch has shown, which mostly ends soon."""
        times = self._lost_races[target] = self._lost_races.get(target, 0) + 1
        if times > MOST_LOST_RACES:
            self._record_obstacle(target, CopyObstacle(_message(error)))
        return _RACE_BACKOFF.delay(times)

    def _record_obstacle(self, target: str, obstacle: CopyObstacle | None) -> None:
        """Record the obstacle of a copy, or that there is none."""
        before = self._obstacles.get(target)
        if obstacle is None:
            self._obstacles.pop(target, None)
        else:
            same_kind = before is not None and before.foreign == obstacle.foreign
            self._obstacles[target] = replace(obstacle, since=before.since) if before and same_kind else obstacle
        if before != obstacle:
            self._enqueue_mappings(target.partition("/")[2])
            if self._conflicts:
                self._conflicts.observe(target, foreign=obstacle is not None and obstacle.foreign)

    def _observe_mapping(self, change: ObjectChange[DeclaredMapping]) -> None:
        self._state.update_mapping(change.key, change.old, change.new)
        if change.new and change.new.mapping and change.new.mapping.copies is CopyPolicy.ON_DEMAND:
            self._needs_pods.set()
        self._reporter.record_change(change.key)
        if self._queues is None:
            return
        if change.new is not None:
            self._queues.mappings.add(change.key)
            if change.new.same_spec(change.old):
                return
        for declared in (change.old, change.new):
            if declared and declared.mapping:
                self._enqueue_copies(declared.mapping.secret, self._state.selected(declared.mapping))
                # Other mappings of the same Secret gain or lose a rival.
                self._enqueue_mappings(declared.mapping.secret)
                # The source may itself be the copy of a deleted mapping.
            if declared and declared.source:
                self._queues.copies.add(f"{self._state.own_namespace}/{declared.source}")
        for target in self._state.copies.targets_of(change.key):
            self._queues.copies.add(target)

    def _observe_namespace(self, change: ObjectChange[NamespaceState]) -> None:
        if change.new is None:
            self._demand.drop_namespace(change.key)
        if self._queues is None:
            return
        queue = self._queues.urgent if change.old is None else self._queues.copies
        for name, declared in self._state.mappings.items():
            mapping = declared.mapping
            versions = [namespace for namespace in (change.old, change.new) if namespace is not None]
            if mapping and any(mapping.selector.matches(namespace.labels) for namespace in versions):
                queue.add(f"{change.key}/{mapping.secret}")
                self._queues.mappings.add(name)

    def _observe_pod(self, change: ObjectChange[Names]) -> None:
        named = self._demand.update_pod(change.key, change.old, change.new)
        if self._queues is None:
            return
        left = [f"{change.key.partition('/')[0]}/{name}" for name in change.old or () if not change.new]
        for target in (*named, *left):
            if self._state.copies.get(target) is None and self._is_on_demand(target.partition("/")[2]):
                if target in left:
                    self._demand.hold(target)  # the Pod may run now, and pull again
                # The kubelet waits at most a second for a missing Secret; then it pulls without it.
                self._queues.urgent.add(target)

    def _is_on_demand(self, secret: str) -> bool:
        owners = (self._state.mappings[name].mapping for name in self._state.with_secret(secret))
        return any(mapping and mapping.copies is CopyPolicy.ON_DEMAND for mapping in owners)

    def _observe_source(self, change: ObjectChange[PullSecretSource]) -> None:
        if self._queues is None:
            return
        secret = change.key.partition("/")[2]
        for name, declared in self._state.mappings.items():
            if declared.mapping and declared.mapping.copy_from == secret:
                self._enqueue_copies(declared.mapping.secret, self._state.selected(declared.mapping))
                self._queues.mappings.add(name)

    def _observe_copy(self, change: ObjectChange[SecretCopy]) -> None:
        changed = self._state.copies.record_change(change.key, change.old, change.new)
        if self._queues is None:
            return
        if changed:
            by_other = change.key not in self._deleting
            if change.new is None and by_other and self._is_on_demand(change.key.partition("/")[2]):
                # A running Pod may need it.
                self._demand.hold(change.key)
            self._queues.copies.add(change.key)
        self._enqueue_mappings(change.key.partition("/")[2])

    def _enqueue_copies(self, secret: str, namespaces: Iterable[str]) -> None:
        if self._queues is not None:
            for namespace in namespaces:
                self._queues.copies.add(f"{namespace}/{secret}")

    def _enqueue_mappings(self, secret: str) -> None:
        """Enqueue the status of every mapping whose copies have this name."""
        if self._queues is not None:
            for mapping in self._state.with_secret(secret):
                self._queues.mappings.add(mapping)


def _message(error: KubeError) -> str:
    """The API server's own message, if it sent one."""
    return (isinstance(error, ApiError) and error.message) or str(error)
