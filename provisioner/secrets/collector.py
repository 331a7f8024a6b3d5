"""Decides whether an unused copy may be deleted, by a list of Pods right before the deletion."""

import time
from collections.abc import Callable

from provisioner.secrets.planning.demand import UNFINISHED, pod_pull_secrets
from provisioner.secrets.planning.state import SecretsState
from sutler.kube.client import Client, selectors
from sutler.kube.resources import PODS
from sutler.metrics import counter
from sutler.registry.mapping import Mapping

COLLECTED = counter(
    "sutler_secret_copies_collected_total", "Copies on demand that were deleted because no Pod needed them."
)
RETURNED = counter(
    "sutler_secret_copies_returned_total",
    "Copies that were needed again soon after their deletion: --unused-copies-after is too short for some jobs.",
)


class Collector:
    """A copy may go when no Pending Pod has named it for `unused_seconds`."""

    def __init__(
        self, client: Client, state: SecretsState, unused_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._state = state
        self._unused_seconds = unused_seconds
        self._clock = clock
        self._listed_at: dict[str, float] = {}
        self._collected_at: dict[str, float] = {}

    async def may_delete(self, mapping: Mapping, target: str) -> bool:
        """Whether its copy is unused now. The caller deletes that very version, and checks again after that.

        Only the copy's own worker calls this: a Pod that comes meanwhile queues the target once more, after this.
        """
        if not self._is_idle(target):
            return False
        namespace, name = target.split("/")
        query = selectors(None, UNFINISHED)
        self._listed_at[target] = self._clock()
        pods, _ = await self._client.list_transformed(PODS, namespace, transform=pod_pull_secrets, query=query)
        if any(name in named for named in pods):
            self._state.demand.record_use(target)
            return False
        self._state.demand.release(target)
        return self._is_idle(target) and not self._state.is_needed(mapping, target)

    def record_deletion(self, target: str) -> None:
        """A Pod that was created since the list, and perhaps runs already, gets its copy back."""
        now = self._clock()
        if self._state.demand.idle_seconds(target) > now - self._listed_at.pop(target, now):
            self._state.demand.drop(target)
        else:
            self._state.demand.hold(target)
        self._collected_at[target] = now
        COLLECTED.inc()

    def record_creation(self, target: str) -> None:
        collected = self._collected_at.pop(target, None)
        if collected is not None and self._clock() - collected < self._unused_seconds:
            RETURNED.inc()

    def _is_idle(self, target: str) -> bool:
        demand = self._state.demand
        return demand.is_known and demand.idle_seconds(target) >= self._unused_seconds
