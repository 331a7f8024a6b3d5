"""Writes the status of RegistryTokens, and records an event at each turn."""

from dataclasses import replace

from provisioner.tokens.planning.refresh_state import DeclaredToken, RefreshState
from provisioner.tokens.planning.token_status import READY, REFRESHING, reasons, status_of
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import Invalid, NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import REGISTRY_TOKENS
from sutler.typedefs import Json

_log = log.get(__name__)


class TokenStatusReporter:
    def __init__(self, client: Client, events: EventRecorder) -> None:
        self._client = client
        self._events = events
        self._written: dict[str, Json] = {}
        """Statuses that the watch has not shown yet."""

    def shown(self, name: str) -> None:
        """The watch shows the object."""
        self._written.pop(name, None)

    async def report(self, declared: DeclaredToken, state: RefreshState, *, now: float, at: str) -> None:
        declared = replace(declared, status=self._written.get(declared.name, declared.status))
        status = status_of(declared, state, now=now, at=at)
        if status == declared.status:
            return
        try:
            await self._client.write_status(REGISTRY_TOKENS, declared.name, declared.uid, status)
        except (NotFound, Invalid):
            return  # it is gone, or another of its name is there: the watch is about to show that
        self._written[declared.name] = status
        self._record(declared, status)

    def _record(self, declared: DeclaredToken, status: Json) -> None:
        regarding = {
            "apiVersion": REGISTRY_TOKENS.api_version,
            "kind": REGISTRY_TOKENS.kind,
            "metadata": {"name": declared.name, "uid": declared.uid},
        }
        before = reasons(declared.status)
        recorded: set[str] = set()
        for condition in status["conditions"]:
            kind, reason, message = condition["type"], condition["reason"], condition["message"]
            if kind not in {READY, REFRESHING} or before.get(kind) == reason or reason in recorded:
                continue
            recorded.add(reason)
            record = self._events.normal if condition["status"] == "True" else self._events.warning
            record(regarding, reason, message)
            _log.info("token", token=declared.name, condition=kind, status=condition["status"], reason=reason)
