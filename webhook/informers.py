"""Keeps the webhook's state current. Without the API server, decisions are made by the last known state."""

import asyncio
from collections.abc import Coroutine, Mapping
from time import perf_counter
from typing import Any, NoReturn

from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import KubeError
from sutler.kube.reflector import ObjectChange, Reflector, unready
from sutler.kube.resources import NAMESPACES, REGISTRY_MAPPINGS, SERVICE_ACCOUNTS
from sutler.registry.index import MappingIndex
from sutler.registry.injection import Account, Labels
from sutler.registry.mapping import Mapping as RegistryMapping
from sutler.registry.mapping import MappingError, parse_mapping, ready_condition
from sutler.typedefs import Json
from webhook.handler import METRICS
from webhook.server import freeze_garbage_collector
from webhook.state import StateProblem, WebhookState, account_entry

_NAMESPACE_SECONDS = 1.0
"""For reading a namespace, of the three seconds for which the API server waits for the webhook."""
_SETTLE_SECONDS = 0.05
_MOST_LISTED = 500
"""Namespaces that the status of a mapping lists at most."""

_log = log.get(__name__)

MappingEntry = tuple[RegistryMapping | MappingError, StateProblem | None]
"""The mapping, or why it can't be used; and why its Secret may be missing in namespaces."""


class WebhookInformers:
    """Reflectors of everything that decisions depend on."""

    def __init__(self, client: Client, state: WebhookState) -> None:
        self._client = client
        self._state = state
        self._changed = asyncio.Event()
        self._index_outdated = True
        """Most changes of mappings are changes of their status, which the index does not have."""
        self._compiled = False
        self._mappings: Reflector[MappingEntry] = Reflector(client, REGISTRY_MAPPINGS, transform=mapping_entry)
        self._mappings.subscribe(self._observe)
        self._namespaces: Reflector[Labels] = Reflector(client, NAMESPACES, transform=labels_entry, metadata_only=True)
        self._accounts: Reflector[Account] = Reflector(client, SERVICE_ACCOUNTS, transform=account_entry)
        state.namespaces = self._namespaces.store
        state.accounts = self._accounts.store
        state.get_namespace_labels = self._get_namespace_labels
        state.not_ready = self.not_ready

    def not_ready(self) -> str | None:
        """Decisions need one list of each kind, and the CRD of mappings."""
        watched: dict[str, Reflector[Any]] = {
            "mappings": self._mappings,
            "namespaces": self._namespaces,
            "service accounts": self._accounts,
        }
        return unready(watched) or (None if self._compiled else "not seen yet: mappings")

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, NoReturn]]]:
        return [
            ("mappings", self._mappings.run()),
            ("namespaces", self._namespaces.run()),
            ("service accounts", self._accounts.run()),
            ("index", self._compile()),
        ]

    def _observe(self, change: ObjectChange[MappingEntry]) -> None:
        if change.old == change.new:
            return  # only parts of its status that are not cached
        if change.new is None:
            METRICS.remove_series(change.key)
        elif isinstance(change.new[0], MappingError):
            _log.warning("mapping is invalid and not used", mapping=change.key, problems=change.new[0].problems)
        if change.old is None or change.new is None or change.old[0] != change.new[0]:
            self._index_outdated = True
        self._changed.set()

    async def _compile(self) -> NoReturn:
        await self._mappings.wait_synced()
        while True:
            begin = perf_counter()
            self._changed.clear()
            entries = list(self._mappings.store.values())
            usable = [mapping for mapping, _ in entries if isinstance(mapping, RegistryMapping)]
            if self._index_outdated:
                self._index_outdated = False
                # Ten thousand mappings take a moment, during which the old index decides.
                self._state.index = await asyncio.to_thread(MappingIndex, usable)
            self._state.problems = {mapping.name: problem for mapping, problem in entries if problem}
            if not self._compiled:
                self._compiled = True
                freeze_garbage_collector()
            METRICS.usable, METRICS.unusable = len(usable), len(entries) - len(usable)
            # A single change takes effect at once; of many that come together, most are compiled together.
            await asyncio.sleep(max(_SETTLE_SECONDS, perf_counter() - begin))
            await self._changed.wait()

    async def _get_namespace_labels(self, name: str) -> Labels | None:
        """Read a namespace that was created a moment ago. By a list, which is what the ClusterRole permits."""
        try:
            async with asyncio.timeout(_NAMESPACE_SECONDS):
                found = await self._client.list(NAMESPACES, field_selector=f"metadata.name={name}")
        except (KubeError, TimeoutError) as error:
            _log.warning("could not read a new namespace", namespace=name, error=str(error) or "timed out")
            return None
        return labels_entry(found[0]) if found else None


def mapping_entry(obj: Json) -> MappingEntry:
    """What is cached of a RegistryMapping."""
    try:
        return parse_mapping(obj), _problem(obj)
    except MappingError as error:
        return error, None


def labels_entry(obj: Json) -> Labels:
    """What is cached of a namespace."""
    labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return labels


def _problem(obj: Json) -> StateProblem | None:
    """What the secrets controller reports in the status. Without the source Secret, no namespace can get a new copy."""
    condition = ready_condition(obj)
    if condition.get("status") != "False":
        return None
    reason = str(condition.get("reason", ""))
    lacking = None if reason.startswith("Source") else _lacking(obj["status"])
    return StateProblem(f"{reason}: {condition.get('message', '')}", lacking)


def _lacking(status: Json) -> frozenset[str] | None:
    """The namespaces without the copy; None where the status, or an older CRD, does not list all of them."""
    listed = (status.get("namespaces") or {}).get("lacking")
    return None if listed is None or len(listed) >= _MOST_LISTED else frozenset(listed)
