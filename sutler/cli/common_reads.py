"""Reads of a cluster that several commands share."""

import asyncio

from sutler import well_known
from sutler.cli.cluster_view import ClusterView, SecretInfo, parse_secret_info
from sutler.cli.exit_codes import RefusedError
from sutler.cli.leases import is_doubtful, renew_time
from sutler.kube.client import Client
from sutler.kube.errors import Forbidden, NotFound
from sutler.kube.resources import LEASES, MUTATING_WEBHOOK_CONFIGURATIONS, REGISTRY_MAPPINGS, SECRETS
from sutler.registry.selector import LabelSelector
from sutler.typedefs import Json

WEBHOOK_CONFIGURATION = "sutler-webhook"
"""Name of the webhook's MutatingWebhookConfiguration."""
OWN_OBJECTS = f"{well_known.NAME}=sutler"
"""Label selector of the objects of an installation."""
_POLL_SECONDS = 1.0
_MAX_POLLS = 8
"""Reads of a Lease whose time is doubtful. A live holder renews it every two seconds."""
_NOT_INSTALLED = (
    "this cluster has no RegistryMappings, so Sutler is not installed in it: install it (first kubectl apply -f "
    "manifests/crds), or select another cluster with --context"
)


async def list_mappings(client: Client) -> list[Json]:
    """All RegistryMappings. Raises RefusedError if the cluster does not have the kind."""
    try:
        return await client.list(REGISTRY_MAPPINGS)
    except NotFound as error:
        raise RefusedError(_NOT_INSTALLED) from error


async def read_registration(client: Client, view: ClusterView) -> Json | None:
    """Reads the MutatingWebhookConfiguration, and sets `view.registered` and `view.webhook_selector`.

    Returns None if it does not exist, or if the user may not read it; `view.registered` is True in the latter case.
    """
    try:
        found = await client.get(MUTATING_WEBHOOK_CONFIGURATIONS, WEBHOOK_CONFIGURATION)
    except NotFound:
        found = {}
    except Forbidden:
        return None
    hooks = found.get("webhooks") or []
    view.registered = bool(hooks)
    if hooks:
        view.webhook_selector = LabelSelector.parse(hooks[0].get("namespaceSelector") or {})
    return found or None


async def read_secret_info(client: Client, namespace: str, name: str) -> SecretInfo:
    """A Secret that may be missing, or forbidden to read."""
    try:
        return parse_secret_info(await client.get(SECRETS, name, namespace))
    except NotFound:
        return SecretInfo(None, "it does not exist", missing=True)
    except Forbidden:
        return SecretInfo(None, f"you may not read Secrets in namespace {namespace}", unknown=True)


async def read_lease(client: Client, name: str, namespace: str) -> Json | None:
    """The Lease, or None if there is none. Raises Forbidden.

    Its times come from its holder's clock. If they are doubtful, this waits for a renewal, which proves that the holder
    lives, and sets renewTime to the API server's time.
    """
    lease = await _get_lease(client, name, namespace)
    for _ in range(_MAX_POLLS):
        if lease is None or not is_doubtful(lease, client.now()):
            return lease
        await asyncio.sleep(_POLL_SECONDS)
        again = await _get_lease(client, name, namespace)
        if again and renew_time(again) != renew_time(lease):
            again["spec"]["renewTime"] = client.now().isoformat()
        lease = again
    return lease


async def _get_lease(client: Client, name: str, namespace: str) -> Json | None:
    try:
        return await client.get(LEASES, name, namespace)
    except NotFound:
        return None
