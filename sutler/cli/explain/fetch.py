"""Reads what explanations of Pods need: mappings, namespaces, ServiceAccounts and Secrets."""

from collections.abc import Sequence

from sutler.cli.cluster_view import ClusterView
from sutler.cli.common_reads import list_mappings, read_registration, read_secret_info
from sutler.cli.explain.explanation import explain
from sutler.cli.pods import PodReport
from sutler.kube.client import Client
from sutler.kube.errors import Forbidden, NotFound
from sutler.kube.resources import NAMESPACES, SERVICE_ACCOUNTS
from sutler.registry.injection import Account
from sutler.typedefs import Json


async def read_view(client: Client, own_namespace: str, pods: Sequence[PodReport]) -> ClusterView:
    unread_reason = "you may not read Secrets there, or it was not needed"
    view = ClusterView(own_namespace, unread_reason=unread_reason, now=client.now())
    for obj in await list_mappings(client):
        view.add_mapping(obj)
    await read_registration(client, view)
    for namespace in {pod.namespace for pod in pods}:
        try:
            view.add_namespace(await client.get(NAMESPACES, namespace))
        except NotFound:
            view.missing_namespaces.add(namespace)
        except Forbidden:
            continue
    for namespace, account in {(pod.namespace, pod.account) for pod in pods}:
        view.accounts[namespace, account] = Account()
        if found := await _account(client, account, namespace):
            view.add_account(found)
    for namespace, name in _needed_secrets(pods, view):
        view.secrets[namespace, name] = await read_secret_info(client, namespace, name)
    return view


def _needed_secrets(pods: Sequence[PodReport], view: ClusterView) -> set[tuple[str, str]]:
    """Namespaces and names of the Secrets that explanations mention, and of the sources of copies."""
    needed = set()
    for pod in pods:
        for found in explain(pod, view):
            needed |= {(pod.namespace, secret.name) for secret in found.secrets}
            needed |= {
                (view.own_namespace, match.mapping.copy_from)
                for match in found.matches
                if match.mapping.copy_from and not match.withheld
            }
    return needed


async def _account(client: Client, name: str, namespace: str) -> Json | None:
    """None if it does not exist or the user may not read it: an explanation without it is better than none."""
    try:
        return await client.get(SERVICE_ACCOUNTS, name, namespace)
    except (NotFound, Forbidden):
        return None
