"""Reads the versions of a cluster and of Sutler in it."""

from sutler.cli.common_reads import OWN_OBJECTS
from sutler.cli.version.versions import ServerVersions
from sutler.kube.client import Client
from sutler.kube.errors import ApiError
from sutler.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, PODS, Resource
from sutler.typedefs import Json


async def read_versions(client: Client, own_namespace: str) -> ServerVersions:
    """Notes what could not be read. Raises KubeError if the API server does not answer."""
    found = ServerVersions((await client.version()).get("gitVersion") or "unknown")
    found.crds = await _list(client, found, CUSTOM_RESOURCE_DEFINITIONS)
    found.pods = await _list(client, found, PODS, own_namespace)
    return found


async def _list(client: Client, found: ServerVersions, resource: Resource, namespace: str | None = None) -> list[Json]:
    try:
        objects = await client.list(resource, namespace, label_selector=OWN_OBJECTS)
    except ApiError:
        found.unread.append(f"{resource.kind}s{f' of namespace {namespace}' if namespace else ''}")
        return []
    return sorted(objects, key=lambda obj: str(obj["metadata"]["name"]))
