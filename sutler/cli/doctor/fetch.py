"""Looks at a cluster for the doctor. Reads only, and goes on where it may not read."""

from sutler.cli import leases
from sutler.cli.cluster_view import ClusterView, SecretInfo, held
from sutler.cli.doctor.cluster_state import ClusterState, is_over, read_patient
from sutler.cli.explain.fetch import look_at_webhook, mappings
from sutler.cli.pods import read_pod
from sutler.kube.client import Client
from sutler.kube.errors import Forbidden, NotFound
from sutler.kube.resources import (
    EVENTS,
    LEASES,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    NAMESPACES,
    PODS,
    REGISTRY_MAPPINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from sutler.typedefs import Json

_LEASE = "sutler-secrets"
_MANAGED_BY = "app.kubernetes.io/managed-by"
_MAPPING = "sutler.dev/mapping"
_COPY = "sutler.dev/copy"


class ClusterReader:
    """`namespace`: look at the Pods of this one only."""

    def __init__(self, client: Client, own_namespace: str, namespace: str | None) -> None:
        self._client = client
        self._own = own_namespace
        self._namespace = namespace
        self._seen = ClusterState(ClusterView(own_namespace), namespace=namespace)

    async def around(self) -> ClusterState:
        seen = self._seen
        await self._mappings()
        await self._namespaces()
        await self._webhook()
        await self._copier()
        await self._pods()
        await self._pull_secrets()
        seen.now = self._client.now().isoformat()
        return seen

    async def _mappings(self) -> None:
        seen = self._seen
        try:
            seen.mappings = await mappings(self._client)
        except Forbidden:
            seen.mappings_seen = False
            self._not_seen(REGISTRY_MAPPINGS)
        for obj in seen.mappings:
            seen.world.add_mapping(obj)

    async def _namespaces(self) -> None:
        for obj in await self._list(NAMESPACES):
            self._seen.world.add_namespace(obj)
            if obj["metadata"].get("deletionTimestamp"):
                self._seen.terminating.add(obj["metadata"]["name"])

    async def _webhook(self) -> None:
        found = await look_at_webhook(self._client, self._seen.world)
        if found is None and self._seen.world.registered:
            self._not_seen(MUTATING_WEBHOOK_CONFIGURATIONS)
        hooks = (found or {}).get("webhooks") or []
        self._seen.trusted = all(hook["clientConfig"].get("caBundle") for hook in hooks)

    async def _copier(self) -> None:
        try:
            lease = await leases.look_at(self._client, _LEASE, self._own)
        except Forbidden:
            self._not_seen(LEASES)
        else:
            self._seen.copier_seen = leases.renewed(lease) if lease else ""

    async def _pods(self) -> None:
        for obj in await self._list(PODS, self._namespace):
            if is_over(obj):
                continue
            self._seen.pods.append(read_pod(obj))
            if read_patient(obj):
                patient = read_patient(obj, await self._messages(obj))
                self._seen.patients += [patient] if patient else []
        for namespace in {patient.pod.namespace for patient in self._seen.patients}:
            for account in await self._list(SERVICE_ACCOUNTS, namespace):
                self._seen.world.add_account(account)

    async def _messages(self, pod: Json) -> list[str]:
        metadata = pod["metadata"]
        about = f"involvedObject.uid={metadata['uid']},reason=Failed"
        events = await self._list(EVENTS, metadata["namespace"], about)
        events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return [event.get("message") or "" for event in events]

    async def _pull_secrets(self) -> None:
        """Those that Pods in trouble have, the sources, and who sits where copies should be."""
        world = self._seen.world
        wanted = {(patient.pod.namespace, name) for patient in self._seen.patients for name in patient.pod.pull_secrets}
        wanted |= {(self._own, mapping.copy_from) for mapping in world.mappings if mapping.copy_from}
        for namespace, name in sorted(wanted):
            world.secrets[namespace, name] = await self._secret(namespace, name)
        for name in sorted({mapping.secret for mapping in world.mappings}):
            await self._places(name)

    async def _places(self, name: str) -> None:
        try:
            found = await self._client.list(SECRETS, self._namespace, field_selector=f"metadata.name={name}")
        except Forbidden:
            self._not_seen(SECRETS)
            return
        self._seen.secrets[name] = {secret["metadata"]["namespace"]: _copied_for(secret) for secret in found}

    async def _secret(self, namespace: str, name: str) -> SecretInfo:
        try:
            return held(await self._client.get(SECRETS, name, namespace))
        except NotFound:
            return SecretInfo(None, "it does not exist", missing=True)
        except Forbidden:
            self._not_seen(SECRETS)
            return SecretInfo(None, "you may not read it", unknown=True)

    async def _list(self, resource: Resource, namespace: str | None = None, fields: str | None = None) -> list[Json]:
        try:
            return await self._client.list(resource, namespace, field_selector=fields)
        except Forbidden:
            self._not_seen(resource)
            return []

    def _not_seen(self, resource: Resource) -> None:
        here = self._namespace if resource.namespaced and resource is not LEASES else None
        what = f"{resource.kind}s{f' of namespace {here}' if here else ''}"
        if what not in self._seen.unseen:
            self._seen.unseen.append(what)


def _copied_for(secret: Json) -> str:
    """The mapping whose copy this is; empty for none."""
    metadata = secret["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    here = f"{metadata['namespace']}/{metadata['name']}"
    ours = labels.get(_MANAGED_BY) == "sutler" and annotations.get(_COPY, here) == here
    return labels.get(_MAPPING) or "" if ours else ""
