"""Collects a support dump from a cluster. It only reads, and reads no Secret and no ConfigMap."""

from collections.abc import Awaitable
from importlib.metadata import version as package_version
from typing import TypeVar

from sutler.cli.common_reads import OWN_OBJECTS, WEBHOOK_CONFIGURATION
from sutler.cli.support.support_dump import SupportDump
from sutler.cli.version.fetch import read_versions
from sutler.cli.version.versions import as_json
from sutler.cli.volumes.inventory import build_inventory
from sutler.kube.client import Client
from sutler.kube.errors import BadRequest, Forbidden, KubeError, NotFound
from sutler.kube.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    LEASES,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    REGISTRY_MAPPINGS,
    SERVICES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    Resource,
)
from sutler.typedefs import Json

T = TypeVar("T")

_LOG_LINES = 20_000
"""The last lines of each log. With one line for each change these are days."""
_OF_INSTALLATION = (PODS, DEPLOYMENTS, SERVICES, ENDPOINT_SLICES)
_COMPONENTS = ("secrets", "volumes", "tokens")
"""The processes that write events about objects of other namespaces."""


class SupportCollector:
    """Reads what it may. What it may not read is noted, with the reason."""

    def __init__(self, client: Client, own_namespace: str, *, logs: bool) -> None:
        self._client = client
        self._own = own_namespace
        self._logs = logs
        self._dump = SupportDump()

    async def collect(self) -> SupportDump:
        """Raises KubeError if the API server does not answer at all."""
        versions = await read_versions(self._client, self._own)
        self._dump.add_versions(as_json(package_version("sutler"), versions, ""))
        for resource in await self._own_kinds():
            await self._objects(resource)
        await self._objects(CUSTOM_RESOURCE_DEFINITIONS, None, OWN_OBJECTS)
        found = [await self._objects(each, self._own, OWN_OBJECTS) for each in _OF_INSTALLATION]
        await self._objects(LEASES, self._own)
        await self._webhook()
        await self._events()
        await self._volumes()
        if self._logs:
            for pod in found[0]:
                await self._logs_of(pod)
        self._dump.finish(self._client.now().isoformat(timespec="seconds"))
        return self._dump

    async def _own_kinds(self) -> list[Resource]:
        """Every kind of Sutler's group that the cluster has, of any release."""
        group = REGISTRY_MAPPINGS.group
        return await self._try(f"Kinds of {group}", self._client.discover(group)) or []

    async def _webhook(self) -> None:
        get = self._client.get(MUTATING_WEBHOOK_CONFIGURATIONS, WEBHOOK_CONFIGURATION)
        found = await self._try(f"{MUTATING_WEBHOOK_CONFIGURATIONS.kind} {WEBHOOK_CONFIGURATION}", get)
        if found is not None:
            self._dump.add_objects(MUTATING_WEBHOOK_CONFIGURATIONS.plural, [found])

    async def _events(self) -> None:
        """The events of Sutler's namespace, and those that Sutler wrote elsewhere."""
        found = {each["metadata"]["uid"]: each for each in await self._list(EVENTS, self._own) or ()}
        for component in _COMPONENTS:
            listed = await self._list(EVENTS, field_selector=f"source=sutler-{component}")
            if listed is None:
                break
            found |= {each["metadata"]["uid"]: each for each in listed}
        self._dump.add_objects(EVENTS.plural, found.values())

    async def _volumes(self) -> None:
        classes = await self._list(STORAGE_CLASSES)
        volumes, claims = await self._list(PERSISTENT_VOLUMES), await self._list(PERSISTENT_VOLUME_CLAIMS)
        attachments = await self._list(VOLUME_ATTACHMENTS)
        own = build_inventory(volumes or (), claims or (), classes or ())
        kept = [*own.volumes, *own.requests]
        names = {each["metadata"]["name"] for each in kept}
        of_volumes = [each for each in attachments or () if each["spec"]["source"].get("persistentVolumeName") in names]
        for resource, listed, objects in (
            (STORAGE_CLASSES, classes, own.classes),
            (PERSISTENT_VOLUMES, volumes, kept),
            (PERSISTENT_VOLUME_CLAIMS, claims, own.claims),
            (VOLUME_ATTACHMENTS, attachments, of_volumes),
        ):
            if listed is not None:
                self._dump.add_objects(resource.plural, objects)

    async def _logs_of(self, pod: Json) -> None:
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        started = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        if not started:
            self._dump.absent[f"logs of Pod {name}"] = "no container has started"
        for container in started:
            await self._log(name, container["name"], previous=False)
            if container.get("restartCount"):
                await self._log(name, container["name"], previous=True)

    async def _log(self, pod: str, container: str, *, previous: bool) -> None:
        read = self._client.read_log(self._own, pod, container, lines=_LOG_LINES, previous=previous)
        text = await self._try(f"{'previous ' if previous else ''}log of {pod}/{container}", read)
        if text is not None:
            self._dump.add_log(pod, container, text, previous=previous)

    async def _objects(
        self, resource: Resource, namespace: str | None = None, selector: str | None = None
    ) -> list[Json]:
        found = await self._list(resource, namespace, label_selector=selector)
        if found is not None:
            self._dump.add_objects(resource.plural, found)
        return found or []

    async def _list(
        self, resource: Resource, namespace: str | None = None, **selectors: str | None
    ) -> list[Json] | None:
        where = f" of namespace {namespace}" if namespace else " of all namespaces" if resource.namespaced else ""
        return await self._try(f"{resource.kind}s{where}", self._client.list(resource, namespace, **selectors))

    async def _try(self, what: str, call: Awaitable[T]) -> T | None:
        """The result; None, with a note, if there is none."""
        try:
            return await call
        except (NotFound, BadRequest) as error:  # the second for a container that has no log
            self._dump.absent[what] = error.message
        except Forbidden:
            self._dump.unread[what] = "you may not read them"
        except KubeError as error:
            self._dump.unread[what] = str(error)
        return None
