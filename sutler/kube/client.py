"""The typed calls to the API server: objects are plain JSON, errors are ours, lists are paged, writes can be fenced."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import aiohttp
import msgspec

from sutler.kube import config
from sutler.kube.errors import ApiError, Gone, Unreachable
from sutler.kube.resources import SECRETS, Resource
from sutler.kube.transport import Call, Transport
from sutler.typedefs import Json

__all__ = ["Client", "Json", "Page", "connect"]

T = TypeVar("T")

# Named here, since inside of Client `list` is a method.
_Objects = list[Json]
_Query = list[tuple[str, str]]
Kept = list[T]

# The API server itself gives up after 60 s.
_SECONDS = 30.0
_LIST_SECONDS = 60.0
# As kubectl and client-go ask for.
_PAGE_SIZE = 500
# A continue token lives five minutes; whoever needs longer than that three times gets the list in one piece.
_PAGED_TRIES = 3
_READ_TRIES = 4
_LONGEST_READ_PATIENCE = 10.0

_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True)
class Page:
    items: _Objects
    resource_version: str


@asynccontextmanager
async def connect(
    kubeconfig: str | None = None, context: str | None = None, *, component: str
) -> AsyncIterator["Client"]:
    """A client of the cluster that `kubeconfig` names, else KUBECONFIG, the Pod's service account, ~/.kube/config.

    Nothing is sent yet: the API server may be away.

    Raises:
        ConfigError: when that says no usable thing.
    """
    transport = Transport(config.find_source(kubeconfig, context), component)
    try:
        await transport.open()
        yield Client(transport)
    finally:
        await transport.close()


class Client:
    """Reads and writes objects. Names of arguments and errors are the API's own; every call has a time-out."""

    def __init__(self, transport: Transport, check: Callable[[], None] | None = None) -> None:
        self._transport = transport
        self._check = check

    def fenced(self, check: Callable[[], None]) -> "Client":
        """The same connections, but `check` is called right before each write goes out, and stops it by raising."""
        return Client(self._transport, check)

    @property
    def host(self) -> str:
        """The API server's host and port."""
        return self._transport.host

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        return await self._read(_call("GET", resource, namespace, name), _SECONDS)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> _Objects:
        """All objects, of all namespaces without `namespace`."""
        query = selectors(label_selector, field_selector)
        items, _ = await self.list_transformed(resource, namespace, transform=lambda item: item, query=query)
        return items

    async def list_transformed(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        transform: Callable[[Json], T],
        query: _Query,
        metadata_only: bool = False,
    ) -> tuple[Kept[T], str]:
        """Apply `transform` to each object as its page arrives. Returns the results and the resourceVersion to watch from."""
        for size in (_PAGE_SIZE,) * _PAGED_TRIES + (0,):
            kept: Kept[T] = []
            version = ""
            try:
                async for page in self._pages(resource, namespace, query, size, metadata_only):
                    kept.extend(transform(item) for item in page.items)
                    version = version or page.resource_version
            except Gone:
                # It took longer than the API server remembers. Pages of two lists don't make one.
                if not size:
                    raise
            else:
                return kept, version
        raise AssertionError("the last size returns or raises")

    async def _pages(
        self, resource: Resource, namespace: str | None, query: _Query, size: int, metadata_only: bool
    ) -> AsyncIterator[Page]:
        token = ""
        while True:
            paging = [("limit", str(size))] * bool(size) + [("continue", token)] * bool(token)
            call = _call("GET", resource, namespace, query=[*query, *paging], accept=_accept("List", metadata_only))
            answer = await self._read(call, _LIST_SECONDS)
            metadata, items = _list_parts(call, answer)
            for item in items:
                # The items of a list don't say what they are.
                item.update(apiVersion=resource.api_version, kind=resource.kind)
            yield Page(items, metadata["resourceVersion"])
            token = metadata.get("continue", "")
            if not token:
                return

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        query: _Query,
        metadata_only: bool = False,
    ) -> AbstractAsyncContextManager[aiohttp.StreamReader]:
        """The bytes of a watch. For the reflector, which knows what can be wrong with them."""
        call = _call(
            "GET",
            resource,
            namespace,
            query=[("watch", "true"), *query],
            accept=_accept("", metadata_only),
            verb="WATCH",
        )
        return self._transport.stream(call, _SECONDS)

    async def create(self, resource: Resource, body: Json, namespace: str | None = None) -> Json:
        """Raises AlreadyExists when there is one of this name."""
        namespace = namespace or _metadata(body).get("namespace")
        return await self._write(_call("POST", resource, namespace, body=body))

    async def replace(self, resource: Resource, body: Json, *, subresource: str | None = None) -> Json:
        """Raises Conflict when the object has changed since `body` was read."""
        metadata = _metadata(body)
        namespace, name = metadata.get("namespace"), metadata["name"]
        return await self._write(_call("PUT", resource, namespace, name, subresource, body=body))

    async def merge_patch(
        self, resource: Resource, name: str, body: Json, namespace: str | None = None, *, subresource: str | None = None
    ) -> Json:
        kind = "application/merge-patch+json"
        return await self._write(_call("PATCH", resource, namespace, name, subresource, body=body, content_type=kind))

    async def json_patch(
        self,
        resource: Resource,
        name: str,
        operations: _Objects,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
    ) -> Json:
        """RFC 6902. A `test` operation that doesn't hold raises Invalid."""
        kind = "application/json-patch+json"
        call = _call("PATCH", resource, namespace, name, subresource, body=operations, content_type=kind)
        return await self._write(call)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete that very object: with `uid` or `resource_version` given, another one raises Conflict.

        Dependents are left to the garbage collector, finalizers are honoured: it may be there for a while yet.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {key: value for key, value in preconditions.items() if value is not None},
        }
        await self._write(_call("DELETE", resource, namespace, name, body=options))

    async def dry_run_create(self, resource: Resource, body: Json, namespace: str) -> Json:
        """The object that creating this would give, with all that admission does to it. Nothing is kept."""
        return await self._write(_call("POST", resource, namespace, body=body, query=[("dryRun", "All")]))

    def now(self) -> datetime:
        """The time by the API server's clock, as its last answer told it; by ours if none did."""
        return self._transport.now()

    async def version(self) -> Json:
        """What the API server says it is: gitVersion, major, minor."""
        return await self._read(Call("GET", "/version", "GET /version"), _SECONDS)

    async def post(self, path: str, body: Json) -> Json:
        """POST to a path, for what is no stored object: reviews of tokens and access."""
        return await self._write(Call("POST", path, f"POST {path}", body=body, sensitive=True))

    async def _write(self, call: Call) -> Json:
        if self._check is not None:
            self._check()
        return _decoded(call, await self._transport.send(call, _SECONDS, self._check))

    async def _read(self, call: Call, seconds: float) -> Json:
        """A read is safe to repeat: a server that asks for a moment's patience gets it here."""
        for _ in range(_READ_TRIES - 1):
            try:
                return _decoded(call, await self._transport.send(call, seconds))
            except ApiError as error:
                if error.retry_after is None or error.retry_after > _LONGEST_READ_PATIENCE:
                    raise
                # Not all of us at the same moment.
                await asyncio.sleep(error.retry_after * random.uniform(1.0, 1.25))  # noqa: S311 - no secret
        return _decoded(call, await self._transport.send(call, seconds))


def selectors(label_selector: str | None, field_selector: str | None) -> _Query:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return [(key, value) for key, value in given.items() if value]


def _call(
    method: str,
    resource: Resource,
    namespace: str | None,
    name: str | None = None,
    subresource: str | None = None,
    *,
    verb: str | None = None,
    body: Any = None,
    **more: Any,
) -> Call:
    what = resource.plural + (f"/{subresource}" if subresource else "")
    which = "/".join(part for part in (namespace, name or (body and _name(body))) if part)
    sensitive = resource is SECRETS and body is not None
    path = resource.path(namespace, name, subresource)
    return Call(method, path, f"{verb or method} {what} {which}".rstrip(), body=body, sensitive=sensitive, **more)


def _name(body: Any) -> str | None:
    return _metadata(body).get("name") if isinstance(body, dict) else None


def _metadata(body: Json) -> Json:
    metadata: Json = body.get("metadata") or {}
    return metadata


def _accept(kind: str, metadata_only: bool) -> str:
    return _METADATA.format(kind) if metadata_only else "application/json"


def _list_parts(call: Call, answer: Json) -> tuple[Json, list[Json]]:
    """A stranger's empty JSON must not pass for an empty list: somebody would clean up after it."""
    metadata, items = answer.get("metadata"), answer.get("items")
    if not isinstance(metadata, dict) or not metadata.get("resourceVersion") or "items" not in answer:
        raise Unreachable(f"{call.name}: the answer is not a list (a proxy's?)")
    return metadata, items or []


def _decoded(call: Call, body: bytes) -> Json:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreachable(f"{call.name}: the answer is not JSON (a proxy's?)") from error
    if not isinstance(answer, dict):
        raise Unreachable(f"{call.name}: the answer is not a JSON object (a proxy's?)")
    return answer
