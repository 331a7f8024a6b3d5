"""What a cluster knows about some Pods: mappings, their namespaces and ServiceAccounts, and the Secrets that matter."""

from collections.abc import Iterable

from sutler.cli.cluster_view import ClusterView, SecretInfo, held
from sutler.cli.explain.explanation import explain
from sutler.cli.output import RefusedError
from sutler.cli.pods import PodReport
from sutler.kube.client import Client
from sutler.kube.errors import Forbidden, NotFound
from sutler.kube.resources import (
    MUTATING_WEBHOOK_CONFIGURATIONS,
    NAMESPACES,
    REGISTRY_MAPPINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from sutler.registry.injection import Account
from sutler.registry.selector import LabelSelector
from sutler.typedefs import Json

CONFIGURATION = "sutler-webhook"
NOT_INSTALLED = (
    "this cluster does not know RegistryMappings: Sutler is not installed in it (kubectl apply -f manifests/crds is "
    "the first step), or --context is another cluster"
)


async def gather(client: Client, own_namespace: str, pods: Iterable[PodReport]) -> ClusterView:
    world = ClusterView(own_namespace, unseen="you may not read Secrets there, or it was not looked for")
    for obj in await mappings(client):
        world.add_mapping(obj)
    await look_at_webhook(client, world)
    pods = list(pods)
    for namespace in {pod.namespace for pod in pods}:
        try:
            world.add_namespace(await client.get(NAMESPACES, namespace))
        except NotFound:
            world.absent.add(namespace)
        except Forbidden:
            continue
    for namespace, account in {(pod.namespace, pod.account) for pod in pods}:
        found = await _permitted(client, SERVICE_ACCOUNTS, account, namespace)
        world.accounts[namespace, account] = Account()
        if found:
            world.add_account(found)
    for namespace, name in _needed(pods, world):
        world.secrets[namespace, name] = await _secret(client, namespace, name)
    return world


async def mappings(client: Client) -> list[Json]:
    try:
        return await client.list(REGISTRY_MAPPINGS)
    except NotFound as error:
        raise RefusedError(NOT_INSTALLED) from error


async def look_at_webhook(client: Client, world: ClusterView) -> Json | None:
    """Notes for which namespaces it is registered. Returns the configuration, None if there is none or not for us."""
    try:
        found = await client.get(MUTATING_WEBHOOK_CONFIGURATIONS, CONFIGURATION)
    except NotFound:
        found = {}
    except Forbidden:
        return None
    hooks = found.get("webhooks") or []
    world.registered = bool(hooks)
    if hooks:
        world.covered = LabelSelector.parse(hooks[0].get("namespaceSelector") or {})
    return found or None


def _needed(pods: Iterable[PodReport], world: ClusterView) -> set[tuple[str, str]]:
    """The Secrets that the explanation will speak of, and the sources of copies."""
    needed = set()
    for pod in pods:
        for found in explain(pod, world):
            needed |= {(pod.namespace, secret.name) for secret in found.secrets}
            needed |= {
                (world.own_namespace, match.mapping.copy_from)
                for match in found.matches
                if match.mapping.copy_from and not match.withheld
            }
    return needed


async def _permitted(client: Client, resource: Resource, name: str, namespace: str | None = None) -> Json | None:
    """None where it is not there, or not for us: an explanation with less in it is better than none."""
    try:
        return await client.get(resource, name, namespace)
    except (NotFound, Forbidden):
        return None


async def _secret(client: Client, namespace: str, name: str) -> SecretInfo:
    try:
        return held(await client.get(SECRETS, name, namespace))
    except NotFound:
        return SecretInfo(None, "it does not exist", missing=True)
    except Forbidden:
        return SecretInfo(None, f"you may not read Secrets in namespace {namespace}", unknown=True)
