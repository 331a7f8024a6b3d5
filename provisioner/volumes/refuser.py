"""Emits events on claims that Sutler can't serve, and repeats them as long as the claims exist."""

import time

from provisioner.volumes.planning import claims
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.events import EVENT_LIFETIME, EventDeduplicator, EventRecorder
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS
from sutler.typedefs import Json


class ClaimRefuser:
    def __init__(self, client: Client, events: EventRecorder) -> None:
        self._client = client
        self._events = events
        self._emitted = EventDeduplicator()

    async def refuse(self, key: str, problem: str) -> float | None:
        """Reports the problem of its class on the claim `key` (namespace/name); returns the seconds until the next."""
        claim = await self._get(key)
        if claim is None or not problem or claims.settled_reason(claim):
            return None
        return self.emit(claim, "ProvisioningFailed", problem)

    def emit(self, claim: Json, reason: str, message: str) -> float:
        """Emits the warning if it is due; returns the seconds after which to repeat it if it still applies."""
        if self._emitted.should_emit(f"{claim['metadata']['uid']} {reason}", message, time.monotonic()):
            self._events.warning(claim, reason, message)
        return EVENT_LIFETIME

    def inform(self, claim: Json, reason: str, message: str) -> float:
        """Emits the normal event as `emit` does the warning."""
        if self._emitted.should_emit(f"{claim['metadata']['uid']} {reason}", message, time.monotonic()):
            self._events.normal(claim, reason, message)
        return EVENT_LIFETIME

    async def _get(self, key: str) -> Json | None:
        namespace, name = key.split("/", 1)
        try:
            return await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except NotFound:
            return None
