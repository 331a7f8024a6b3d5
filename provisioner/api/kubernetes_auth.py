"""Authenticates users by TokenReview and authorizes them by SubjectAccessReview."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from provisioner.api.authorization import GROUP, Permission, User
from sutler.kube.client import Client

_TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

CACHE_SECONDS = 10.0
"""Seconds for which a review is cached: a withdrawn permission is valid for that long."""
_CACHE_SIZE = 2048

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class KubernetesAuth:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._users: _ReviewCache[bytes, User | None] = _ReviewCache()
        self._rights: _ReviewCache[tuple[object, ...], bool] = _ReviewCache()

    async def authenticate(self, token: str) -> User | None:
        return await self._users.get(hashlib.sha256(token.encode()).digest(), lambda: self._review(token))

    async def is_allowed(self, user: User, permission: Permission, pool: str | None) -> bool:
        # The key has everything that an authorizer may use: `extra` can hold the scopes of a token, for example.
        key = (user.name, user.groups, user.uid, tuple(sorted(user.extra.items())), permission, pool)
        return await self._rights.get(key, lambda: self._ask(user, permission, pool))

    async def _review(self, token: str) -> User | None:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = (await self._client.post(_TOKEN_REVIEWS, body)).get("status") or {}
        if not status.get("authenticated"):
            return None
        user = status["user"]
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        return User(user["username"], tuple(user.get("groups") or ()), user.get("uid", ""), extra)

    async def _ask(self, user: User, permission: Permission, pool: str | None) -> bool:
        attributes = {"group": GROUP, "resource": permission.resource, "verb": permission.verb}
        if pool is not None:
            attributes["name"] = pool
        spec = {
            "user": user.name,
            "groups": list(user.groups),
            "uid": user.uid,
            "extra": {key: list(values) for key, values in user.extra.items()},
            "resourceAttributes": attributes,
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        status = (await self._client.post(_ACCESS_REVIEWS, body)).get("status") or {}
        return bool(status.get("allowed")) and not status.get("denied")


class _ReviewCache(Generic[K, V]):
    """A bounded cache of reviews. Errors are not cached."""

    def __init__(self) -> None:
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        answer = await ask()
        self._kept[key] = (time.monotonic() + CACHE_SECONDS, answer)
        self._kept.move_to_end(key)
        if len(self._kept) > _CACHE_SIZE:
            self._kept.popitem(last=False)
        return answer
