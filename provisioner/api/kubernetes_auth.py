"""Users and rights from Kubernetes: TokenReview says who it is, SubjectAccessReview what they may; RBAC rules."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from provisioner.api.authorization import GROUP, Permission, User
from sutler.kube.client import Client

_TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

FRESH = 10.0
"""Seconds for which an answer is used again: for so long a withdrawn right goes on."""
_MOST_ANSWERS = 2048

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class KubernetesAuth:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._users: _Answers[bytes, User | None] = _Answers()
        self._rights: _Answers[tuple[object, ...], bool] = _Answers()

    async def who(self, token: str) -> User | None:
        return await self._users.get(hashlib.sha256(token.encode()).digest(), lambda: self._review(token))

    async def may(self, user: User, right: Permission, pool: str | None) -> bool:
        # All that is asked: an authorizer may go by `extra`, a token's scopes for one, as well as by the name.
        key = (user.name, user.groups, user.uid, tuple(sorted(user.extra.items())), right, pool)
        return await self._rights.get(key, lambda: self._ask(user, right, pool))

    async def _review(self, token: str) -> User | None:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = (await self._client.create_raw(_TOKENS, body)).get("status") or {}
        if not status.get("authenticated"):
            return None
        user = status["user"]
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        return User(user["username"], tuple(user.get("groups") or ()), user.get("uid", ""), extra)

    async def _ask(self, user: User, right: Permission, pool: str | None) -> bool:
        attributes = {"group": GROUP, "resource": right.resource, "verb": right.verb}
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
        status = (await self._client.create_raw(_ACCESS, body)).get("status") or {}
        return bool(status.get("allowed")) and not status.get("denied")


class _Answers(Generic[K, V]):
    """The last answers. Errors are not kept: the next one asks again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        answer = await ask()
        self._kept[key] = (time.monotonic() + FRESH, answer)
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_ANSWERS:
            self._kept.popitem(last=False)
        return answer
