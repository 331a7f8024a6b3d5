"""Reads claims from the API server itself, many by one request when many are due.

A watch may be behind, so a claim is read again before an image is created for it. A request for each claim is a third
of what a new volume costs the API server.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from sutler.kube.client import Client
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS
from sutler.typedefs import Json

MANY = 16
"""Claims of a namespace without a volume for which listing the namespace is worth it."""
MOST_OTHERS = 8
"""For each of these claims, the list may have so many others. An entry of a list costs a thirtieth of a request."""
MOST_LISTED = 2000
"""Claims of a namespace that is still listed: the answer must come long before it is out of date."""
FRESH_SECONDS = 1.0
"""Seconds after the start of a list for which its claims count as read just now."""


@dataclass(frozen=True, slots=True)
class _ClaimList:
    requested: float
    claims: dict[str, Json]
    """By name, without those that were returned already."""


class ClaimReader:
    def __init__(self, client: Client, count: Callable[[str], tuple[int, int]]) -> None:
        """`count`: returns for how many claims of a namespace no volume exists, and how many others there are."""
        self._client = client
        self._count = count
        self._lists: dict[str, _ClaimList] = {}
        self._listing: dict[str, asyncio.Lock] = {}

    async def read(self, name: str, namespace: str) -> Json:
        """Returns the claim as it was at most FRESH_SECONDS ago. No answer is used twice. Raises KubeError."""
        found = self._take(name, namespace)
        if found is None and self._is_worth_a_list(namespace):
            async with self._listing.setdefault(namespace, asyncio.Lock()):
                found = self._take(name, namespace)
                if found is None:
                    await self._list(namespace)
                    found = self._take(name, namespace)
        return found or await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)

    def _is_worth_a_list(self, namespace: str) -> bool:
        waiting, others = self._count(namespace)
        return waiting >= MANY and others <= MOST_OTHERS * waiting and waiting + others <= MOST_LISTED

    def _take(self, name: str, namespace: str) -> Json | None:
        listed = self._lists.get(namespace)
        # Timers are late in a process that was stopped.
        is_fresh = listed is not None and time.monotonic() - listed.requested < FRESH_SECONDS
        return listed.claims.pop(name, None) if listed is not None and is_fresh else None

    async def _list(self, namespace: str) -> None:
        requested = time.monotonic()
        listed = await self._client.list(PERSISTENT_VOLUME_CLAIMS, namespace)
        waiting = {claim["metadata"]["name"]: claim for claim in listed if not claim["spec"].get("volumeName")}
        found = self._lists[namespace] = _ClaimList(requested, waiting)
        asyncio.get_running_loop().call_later(FRESH_SECONDS, self._drop, namespace, found)

    def _drop(self, namespace: str, listed: _ClaimList) -> None:
        if self._lists.get(namespace) is listed:
            del self._lists[namespace]
