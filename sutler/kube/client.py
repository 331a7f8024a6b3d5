"""Calls to the API server. Objects are plain JSON, errors are KubeErrors, lists are paged, writes can be fenced."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import aiohttp
import msgspec

from sutler.kube import config
from sutler.kube.backoff import READ_TRIES, retry_delay
from sutler.kube.errors import ApiError, Gone, NotFound, Unreachable
from sutler.kube.resources import PODS, SECRETS, Resource
from sutler.kube.transport import Call, Transport
from sutler.typedefs import Json

__all__ = ["Client", "Json", "Page", "connect"]

T = TypeVar("T")

# Aliases, because inside of Client `list` is a method.
_Objects = list[Json]
_Query = list[tuple[str, str]]
_Resources = list[Resource]
Transformed = list[T]

# The API server itself gives up after 60 s.
_TIMEOUT_SECONDS = 30.0
_LIST_TIMEOUT_SECONDS = 60.0
# As kubectl and client-go ask for.
_PAGE_SIZE = 500
# A continue token is valid for five minutes. After three lists that took longer, the list is read in one piece.
_PAGED_TRIES = 3

_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True)
class Page:
    items: _Objects
    resource_version: str


@asynccontextmanager
async def connect(
    kubeconfig: str | None = None, context: str | None = None, *, component: str
) -> AsyncIterator["Client"]:
    """Make a client by `kubeconfig`, else by KUBECONFIG, the Pod's service account or ~/.kube/config.

    Nothing is sent yet: the API server may be unreachable.

    Raises:
        ConfigError: when the configuration is missing or not usable.
    """
    transport = Transport(config.find_source(kubeconfig, context), component)
    try:
        await transport.open()
        yield Client(transport)
    finally:
        await transport.close()


class Client:
    """Reads and writes objects. Arguments and errors have the names of the API; every call has a time-out."""

    def __init__(self, transport: Transport, check: Callable[[], None] | None = None) -> None:
        self._transport = transport
        self._check = check

    def fenced(self, check: Callable[[], None]) -> "Client":
        """A client on the same connections that calls `check` before it sends a write; `check` raises to stop it."""
        return Client(self._transport, check)

    @property
    def host(self) -> str:
        """The API server's host and port."""
        return self._transport.host

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        return await self._read(_call("GET", resource, namespace, name), _TIMEOUT_SECONDS)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> _Objects:
        """All objects of one namespace, or of all namespaces."""
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
    ) -> tuple[Transformed[T], str]:
        """Transform each object as its page arrives. Returns the results and the resourceVersion to watch from."""
        for size in (_PAGE_SIZE,) * _PAGED_TRIES + (0,):
            found: Transformed[T] = []
            version = ""
            try:
                async for page in self._pages(resource, namespace, query, size, metadata_only):
                    found.extend(transform(item) for item in page.items)
                    version = version or page.resource_version
            except Gone:
                # The continue token expired. Pages of two lists don't make one.
                if not size:
                    raise
            else:
                return found, version
        raise AssertionError("the last size returns or raises")

    async def _pages(
        self, resource: Resource, namespace: str | None, query: _Query, size: int, metadata_only: bool
    ) -> AsyncIterator[Page]:
        token = ""
        while True:
            paging = [("limit", str(size))] * bool(size) + [("continue", token)] * bool(token)
            call = _call("GET", resource, namespace, query=[*query, *paging], accept=_accept("List", metadata_only))
            answer = await self._read(call, _LIST_TIMEOUT_SECONDS)
            metadata, items = _list_parts(call, answer)
            for item in items:
                # The items of a list have no kind.
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
        """Open a watch and stream its bytes; the reflector decodes them."""
        call = _call(
            "GET",
            resource,
            namespace,
            query=[("watch", "true"), *query],
            accept=_accept("", metadata_only),
            verb="WATCH",
        )
        return self._transport.stream(call, _TIMEOUT_SECONDS)

    async def create(self, resource: Resource, body: Json, namespace: str | None = None) -> Json:
        """Create an object. Raises AlreadyExists when the name is taken."""
        namespace = namespace or _metadata(body).get("namespace")
        return await self._write(_call("POST", resource, namespace, body=body))

    async def replace(self, resource: Resource, body: Json, *, subresource: str | None = None) -> Json:
        """Update the whole object. Raises Conflict when it has changed since `body` was read."""
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
        """Apply a JSON Patch (RFC 6902). Raises Invalid when a `test` operation fails."""
        kind = "application/json-patch+json"
        call = _call("PATCH", resource, namespace, name, subresource, body=operations, content_type=kind)
        return await self._write(call)

    async def write_status(self, resource: Resource, name: str, uid: str, status: Json) -> None:
        """Replace the status. Raises NotFound, and Invalid when another object has the name now."""
        operations: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        await self.json_patch(resource, name, operations, subresource="status")

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete an object. With `uid` or `resource_version`, raises Conflict for any other object of this name.

        Dependents are left to the garbage collector. Finalizers are honoured: the object may exist for a while.
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
        """The object as it would be created, with all changes by admission. Nothing is stored."""
        return await self._write(_call("POST", resource, namespace, body=body, query=[("dryRun", "All")]))

    def now(self) -> datetime:
        """The time by the API server's clock, from its last response; by the local clock without one."""
        return self._transport.now()

    async def is_served(self, resource: Resource) -> bool:
        """Whether the API server has the resource: kinds of a CRD may come and go. Requires permission to list it."""
        try:
            await self._read(_call("GET", resource, None, query=[("limit", "1")]), _TIMEOUT_SECONDS)
        except NotFound:
            return False
        return True

    async def version(self) -> Json:
        """The version of the API server: gitVersion, major, minor."""
        return await self._read(Call("GET", "/version", "GET /version"), _TIMEOUT_SECONDS)

    async def discover(self, group: str) -> _Resources:
        """What can be listed of a group, in the version that the API server prefers.

        Raises NotFound if the cluster does not have the group.
        """
        found = await self._read(Call("GET", f"/apis/{group}", f"GET /apis/{group}"), _TIMEOUT_SECONDS)
        version = found["preferredVersion"]["version"]
        path = f"/apis/{group}/{version}"
        listed = await self._read(Call("GET", path, f"GET {path}"), _TIMEOUT_SECONDS)
        return [
            Resource(group, version, each["name"], each["kind"], namespaced=each["namespaced"])
            for each in listed.get("resources") or ()
            if "list" in each["verbs"]
        ]

    async def read_log(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool) -> str:
        """The last lines of a container's log, of its previous run if so asked. BadRequest: it has none."""
        query = [("container", container), ("tailLines", str(lines)), ("timestamps", "true")]
        call = _call("GET", PODS, namespace, pod, "log", query=query + [("previous", "true")] * previous, accept="*/*")
        return (await self._transport.send(call, _LIST_TIMEOUT_SECONDS)).decode(errors="replace")

    async def post(self, path: str, body: Json) -> Json:
        """POST to a path, for objects that are not stored: reviews of tokens and access."""
        return await self._write(Call("POST", path, f"POST {path}", body=body, sensitive=True))

    async def _write(self, call: Call) -> Json:
        if self._check is not None:
            self._check()
        return _decoded(call, await self._transport.send(call, _TIMEOUT_SECONDS, self._check))

    async def _read(self, call: Call, seconds: float) -> Json:
        """Send a read, and repeat it when the API server asks for that with Retry-After."""
        for _ in range(READ_TRIES - 1):
            try:
                return _decoded(call, await self._transport.send(call, seconds))
            except ApiError as error:
                delay = retry_delay(error.retry_after)
                if delay is None:
                    raise
                await asyncio.sleep(delay)
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
    """Validate a list: with some proxy's empty JSON taken for an empty list, controllers would delete objects."""
    metadata, items = answer.get("metadata"), answer.get("items")
    if not isinstance(metadata, dict) or not metadata.get("resourceVersion") or "items" not in answer:
        raise Unreachable(f"{call.name}: the response is not a list; does a proxy answer?")
    return metadata, items or []


def _decoded(call: Call, body: bytes) -> Json:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreachable(f"{call.name}: the response is not JSON; does a proxy answer?") from error
    if not isinstance(answer, dict):
        raise Unreachable(f"{call.name}: the response is not a JSON object; does a proxy answer?")
    return answer
