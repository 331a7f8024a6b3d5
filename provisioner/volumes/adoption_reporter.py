"""Reports the progress of an adoption: in the request's annotation, as events and as a metric."""

import contextlib
import time

from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.metrics import ADOPTIONS
from sutler import well_known
from sutler.kube.errors import NotFound
from sutler.kube.events import EventDeduplicator
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes.adoption_request import AdoptionState, claim_key, parse_outcome


class AdoptionReporter:
    def __init__(self, context: LeaderContext) -> None:
        self._context = context
        self._events = context.events
        self._emitted = EventDeduplicator()

    async def report(self, request: Json, state: AdoptionState, message: str, size: int | None = None) -> None:
        """Records state and message on the request and emits an event, if they are new; `size`: of the image."""
        before, message_before = parse_outcome(request)
        if (before, message_before) == (state, message):
            return
        annotations = {well_known.ADOPTION: f"{state}: {message}"}
        if size is not None:
            annotations[well_known.ADOPTED_SIZE] = str(size)
        with contextlib.suppress(NotFound):
            await self._context.client.merge_patch(
                PERSISTENT_VOLUMES, request["metadata"]["name"], {"metadata": {"annotations": annotations}}
            )
        # The former state is read from the request, so that each adoption is counted once in any number of processes.
        if before is None:
            ADOPTIONS.labels("asked").inc()
        if state is AdoptionState.REFUSED and before is not AdoptionState.REFUSED:
            ADOPTIONS.labels("refused").inc()
        is_blocked = state in {AdoptionState.WAITING, AdoptionState.REFUSED}
        emit = self._events.warning if is_blocked else self._events.normal
        emit(request, f"Adoption{state}", message)

    async def report_on_claim(self, request: Json, message: str) -> None:
        """Emits an event on the claim: it explains why no new image is provisioned for it."""
        namespace, _, name = claim_key(request).partition("/")
        claim = await self._context.get_or_none(PERSISTENT_VOLUME_CLAIMS, name, namespace) if namespace else None
        if claim is None or claim["spec"].get("volumeName"):
            return
        if not self._emitted.should_emit(claim["metadata"]["uid"], message, time.monotonic()):
            return
        reason = (
            f"an image is to be adopted for the claim (PersistentVolume {request['metadata']['name']}), and {message}"
        )
        self._events.warning(claim, "ProvisioningFailed", reason)
