"""Says on a claim why it does not get what it asks for, and says it again as long as it waits."""

import time

from provisioner.volumes.event_deduplication import AN_HOUR, EventDeduplicator
from provisioner.volumes.planning import claims
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS
from sutler.typedefs import Json


class ClaimRefuser:
    def __init__(self, client: Client, events: EventRecorder) -> None:
        self._client = client
        self._events = events
        self._told = EventDeduplicator(AN_HOUR)

    async def refuse(self, key: str, problem: str) -> float | None:
        """Of the claim `key` (namespace/name): its class is not right. Returns the seconds until the next look."""
        claim = await self._get(key)
        if claim is None or not problem or claims.settled(claim):
            return None
        return self.say(claim, "ProvisioningFailed", problem)

    async def refuse_change(self, key: str) -> float | None:
        """Of a bound claim: the attributes of its volume can't be changed."""
        claim = await self._get(key)
        wanted = claim["spec"].get("volumeAttributesClassName") if claim is not None else None
        if claim is None or not wanted:
            return None
        message = (
            f"volumeAttributesClassName {wanted} is not served: the volume stays as it is; "
            "set the name back to what it was, or to nothing"
        )
        return self.say(claim, "VolumeModifyFailed", message)

    def say(self, claim: Json, reason: str, message: str) -> float:
        """Returns the seconds after which it is to be said again, if it still holds."""
        if self._told.is_news(f"{claim['metadata']['uid']} {reason}", message, time.monotonic()):
            self._events.warning(claim, reason, message)
        return AN_HOUR

    async def _get(self, key: str) -> Json | None:
        namespace, name = key.split("/", 1)
        try:
            return await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except NotFound:
            return None
