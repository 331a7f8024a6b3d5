"""Carries out the action on one copy: one request, or two to recreate a Secret."""

from collections.abc import Sequence
from contextlib import suppress
from typing import assert_never

from provisioner.secrets.metrics import COPY_WRITES
from provisioner.secrets.planning.actions import (
    Action,
    Blocked,
    CreateCopy,
    DeleteCopy,
    NoAction,
    PatchCopy,
    RecreateCopy,
    Wait,
)
from provisioner.secrets.planning.copies import CopyContent, SecretCopy, copy_body, copy_from_secret, copy_patch
from provisioner.secrets.planning.copy_cache import CopyCache
from provisioner.secrets.planning.status import CopyObstacle
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, NotFound
from sutler.kube.resources import SECRETS

_log = log.get(__name__)

FOREIGN = "exists and is not Sutler's"


class CopyWriter:
    """Writes copies. Every write names the version that it is based on, so that a late one changes nothing."""

    def __init__(self, client: Client, copies: CopyCache) -> None:
        self._client = client
        self._copies = copies

    async def apply(self, target: str, action: Action) -> CopyObstacle | None:
        """Apply the action to `namespace/name`. Returns the obstacle, if there is one.

        Raises:
            Conflict: when the copy has changed. As NotFound and AlreadyExists, it means: decide again.
        """
        match action:
            case NoAction():
                return None
            case Blocked():
                return CopyObstacle(FOREIGN, foreign=True)
            case Wait(finalizers):
                return deletion_obstacle(finalizers)
            case CreateCopy(mapping, content):
                return await self._create(target, mapping, content)
            case PatchCopy(mapping, content, copy):
                await self._patch(target, mapping, content, copy)
            case RecreateCopy(mapping, content, copy):
                await self._delete(target, copy)
                return await self._create(target, mapping, content)
            case DeleteCopy(copy):
                await self._delete(target, copy)
            case _:
                assert_never(action)
        return None

    async def _create(self, target: str, mapping: str, content: CopyContent) -> CopyObstacle | None:
        namespace, name = target.split("/")
        try:
            made = await self._client.create(SECRETS, copy_body(target, mapping, content), namespace)
        except AlreadyExists:
            found = copy_from_secret(await self._client.get(SECRETS, name, namespace))
            if found.foreign:
                return CopyObstacle(FOREIGN, foreign=True)
            self._copies.record_write(target, found)
            if found.finalizers is not None:
                return deletion_obstacle(found.finalizers)
            raise
        self._record("create", target, copy_from_secret(made))
        return None

    async def _patch(self, target: str, mapping: str, content: CopyContent, copy: SecretCopy) -> None:
        namespace, name = target.split("/")
        operations = copy_patch(target, mapping, content, copy)
        made = await self._client.json_patch(SECRETS, name, operations, namespace)
        self._record("patch", target, copy_from_secret(made))

    async def _delete(self, target: str, copy: SecretCopy) -> None:
        namespace, name = target.split("/")
        with suppress(NotFound):  # it is deleted already
            await self._client.delete(SECRETS, name, namespace, uid=copy.uid, resource_version=copy.version)
        self._record("delete", target, None)

    def _record(self, operation: str, target: str, copy: SecretCopy | None) -> None:
        self._copies.record_write(target, copy)
        COPY_WRITES.labels(operation).inc()
        _log.debug("wrote a copy", operation=operation, secret=target)


def deletion_obstacle(finalizers: Sequence[str]) -> CopyObstacle:
    waits = f" and waits for finalizers {', '.join(finalizers)}" if finalizers else ""
    return CopyObstacle(f"it is being deleted{waits}")
