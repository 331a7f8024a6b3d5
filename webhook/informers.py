"""Keeps the state up to date with the API server. While that is away, the last known state goes on deciding."""

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
from sutler.registry.mapping import MappingError, parse_mapping
from sutler.typedefs import Json
from webhook.handler import TALLY
from webhook.server import spare_collector
from webhook.state import StateProblem, WebhookState, keep_account

_ASK_SECONDS = 1.0  # of the three that the API server waits for us
_SETTLE_SECONDS = 0.05
_LISTED = 500
"""Namespaces that a status lists at most."""

_log = log.get(__name__)

KeptMapping = tuple[RegistryMapping | MappingError, StateProblem | None]
"""What it says or why it can't be used, and why its Secret may not be where Pods need it."""


class WebhookInformers:
    def __init__(self, client: Client, state: WebhookState) -> None:
        self._client = client
        self._state = state
        self._dirty = asyncio.Event()
        self._stale = True
        """Whether the index is older than the mappings: most news is only of their status."""
        self._compiled = False
        self._mappings: Reflector[KeptMapping] = Reflector(client, REGISTRY_MAPPINGS, keep=keep_mapping)
        self._mappings.subscribe(self._changed)
        self._namespaces: Reflector[Labels] = Reflector(client, NAMESPACES, keep=keep_labels, metadata_only=True)
        self._accounts: Reflector[Account] = Reflector(client, SERVICE_ACCOUNTS, keep=keep_account)
        state.namespaces = self._namespaces.store
        state.accounts = self._accounts.store
        state.ask_namespace = self._ask_namespace
        state.not_ready = self.not_ready

    def not_ready(self) -> str | None:
        """Nothing can be decided before everything has been seen once, nor without mappings at all."""
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

    def _changed(self, change: ObjectChange[KeptMapping]) -> None:
        if change.old == change.new:
            return  # its status moved, nothing that we read
        if change.new is None:
            TALLY.forget(change.key)
        elif isinstance(change.new[0], MappingError):
            _log.warning("a mapping is not used", mapping=change.key, problems=change.new[0].problems)
        if change.old is None or change.new is None or change.old[0] != change.new[0]:
            self._stale = True
        self._dirty.set()

    async def _compile(self) -> NoReturn:
        await self._mappings.wait_synced()
        while True:
            begin = perf_counter()
            self._dirty.clear()
            kept = list(self._mappings.store.values())
            usable = [mapping for mapping, _ in kept if isinstance(mapping, RegistryMapping)]
            if self._stale:
                self._stale = False
                # Ten thousand mappings take a moment: requests are answered by the old index meanwhile.
                self._state.index = await asyncio.to_thread(MappingIndex, usable)
            self._state.troubles = {mapping.name: trouble for mapping, trouble in kept if trouble}
            if not self._compiled:
                self._compiled = True
                spare_collector()
            TALLY.usable, TALLY.unusable = len(usable), len(kept) - len(usable)
            # One change counts at once; of many that come together most are compiled together.
            await asyncio.sleep(max(_SETTLE_SECONDS, perf_counter() - begin))
            await self._dirty.wait()

    async def _ask_namespace(self, name: str) -> Labels | None:
        """One that was created a moment ago. A list of one, since listing is what we may do anyway."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                found = await self._client.list(NAMESPACES, field_selector=f"metadata.name={name}")
        except (KubeError, TimeoutError) as error:
            _log.warning("a new namespace could not be read", namespace=name, error=str(error) or "it took too long")
            return None
        return keep_labels(found[0]) if found else None


def keep_mapping(obj: Json) -> KeptMapping:
    try:
        return parse_mapping(obj), _trouble(obj)
    except MappingError as error:
        return error, None


def keep_labels(obj: Json) -> Labels:
    labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return labels


def _trouble(obj: Json) -> StateProblem | None:
    """What the secrets controller found wrong. Without a source no namespace can have a new copy."""
    status = obj.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "False":
            reason = str(condition.get("reason", ""))
            text = f"{reason}: {condition.get('message', '')}"
            return StateProblem(text, None if reason.startswith("Source") else _lacking(status))
    return None


def _lacking(status: Json) -> frozenset[str] | None:
    """The namespaces without it; None where the status, or an older definition of it, has no whole list."""
    listed = (status.get("namespaces") or {}).get("lacking")
    return None if listed is None or len(listed) >= _LISTED else frozenset(listed)
