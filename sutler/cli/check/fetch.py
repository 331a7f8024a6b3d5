"""Reads a cluster into a ClusterState. Read-only; what the user may not read is noted, and the rest is read."""

import asyncio
import re
from collections.abc import Awaitable, Collection
from dataclasses import replace
from typing import TypeVar

from sutler import well_known
from sutler.cli.certs.cli import CONFIGURATION, SECRET
from sutler.cli.certs.fetch import read_certificate
from sutler.cli.check import dry_run, permissions
from sutler.cli.check.cluster_state import (
    NO_IN_TREE_RBD,
    UNREAD_CRD,
    UNREAD_MAPPINGS,
    UNREAD_NAMESPACES,
    UNREAD_PERMISSIONS,
    ClusterState,
    DryRun,
    DryRunResult,
    Part,
    has_ended,
    parse_failing_pod,
)
from sutler.cli.cluster_view import ClusterView
from sutler.cli.common_reads import OWN_OBJECTS, list_mappings, read_lease, read_registration, read_secret_info
from sutler.cli.exit_codes import RefusedError
from sutler.cli.pods import parse_pod
from sutler.kube.client import Client
from sutler.kube.errors import ApiError, Forbidden, NotFound
from sutler.kube.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    LEASES,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    NAMESPACES,
    PODS,
    REGISTRY_MAPPINGS,
    REGISTRY_TOKENS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STORAGE_CLASSES,
    Resource,
)
from sutler.registry.mapping import ready_condition
from sutler.typedefs import Json
from sutler.volumes.served_classes import is_sutler_class

T = TypeVar("T")

_CRD = "registrymappings.sutler.dev"
_HAS_ENDPOINT_SLICES = (1, 21)
_INJECT_CA = "cert-manager.io/inject-ca-from"
_CERT_MANAGER_SECRET = "sutler-webhook-tls"  # noqa: S105 - a name
"""Secret of the webhook's certificate in manifests/components/cert-manager."""


class ClusterReader:
    """Reads the parts of a ClusterState that checks need."""

    def __init__(self, client: Client, own_namespace: str, namespace: str | None) -> None:
        """`namespace`: the only one to read Pods of or to try a Pod in; None for all."""
        self._client = client
        self._own = own_namespace
        self._namespace = namespace
        self._state = ClusterState(ClusterView(own_namespace), namespace=namespace)
        self._webhooks: list[Json] = []
        self._reads_crd = False
        self._secret = SECRET
        self._readers = {
            Part.VERSION: self._read_version,
            Part.CRD: self._read_crd,
            Part.MAPPINGS: self._read_mappings,
            Part.NAMESPACES: self._read_namespaces,
            Part.DEPLOYMENTS: self._read_deployments,
            Part.SECRETS_LEASE: lambda: self._read_lease("secrets"),
            Part.VOLUMES_LEASE: lambda: self._read_lease("volumes"),
            Part.TOKENS: self._read_tokens,
            Part.REGISTRATION: self._read_registration,
            Part.ENDPOINT: self._read_endpoint,
            Part.CERTIFICATE: self._read_certificate,
            Part.CLASSES: self._read_classes,
            Part.PERMISSIONS: self._read_permissions,
            Part.PODS: self._read_pods,
            Part.COPIES: self._read_copies,
            Part.DRY_RUN: self._try_pod,
        }

    async def read(self, parts: Collection[Part]) -> ClusterState:
        self._reads_crd = Part.CRD in parts
        for part in Part:
            if part in parts:
                await self._readers[part]()
        self._state.now = self._client.now()
        return self._state

    async def _read_version(self) -> None:
        version = await self._client.version()
        self._state.version = (_leading_number(version.get("major")), _leading_number(version.get("minor")))

    async def _read_crd(self) -> None:
        self._state.crd = await self._if_allowed(UNREAD_CRD, self._client.get(CUSTOM_RESOURCE_DEFINITIONS, _CRD))

    async def _read_mappings(self) -> None:
        """Raises RefusedError if there is no such kind, unless the CRD is checked, too."""
        try:
            self._state.mappings = await list_mappings(self._client)
        except Forbidden:
            self._note_unread(REGISTRY_MAPPINGS)
        except RefusedError:
            if not self._reads_crd:
                raise
        for obj in self._state.mappings:
            self._state.view.add_mapping(obj)

    async def _read_namespaces(self) -> None:
        for obj in await self._list(NAMESPACES):
            self._state.view.add_namespace(obj)
            if obj["metadata"].get("deletionTimestamp"):
                self._state.terminating.add(obj["metadata"]["name"])

    async def _read_deployments(self) -> None:
        deployments = await self._list(DEPLOYMENTS, self._own, label_selector=OWN_OBJECTS)
        self._state.deployments = {_component(each): each for each in deployments}
        self._state.own_pods = await self._list(PODS, self._own, label_selector=OWN_OBJECTS)

    async def _read_lease(self, component: str) -> None:
        try:
            lease = await read_lease(self._client, f"sutler-{component}", self._own)
        except Forbidden:
            self._note_unread(LEASES)
        else:
            self._state.leases |= {component: lease} if lease else {}

    async def _read_tokens(self) -> None:
        """RegistryTokens and the lease of their process. Both are optional, and so is the permission to read them."""
        await self._read_lease("tokens")
        try:
            self._state.tokens = await self._client.list(REGISTRY_TOKENS)
        except NotFound:
            return
        except Forbidden:
            if "tokens" in self._state.leases:
                self._note_unread(REGISTRY_TOKENS)

    async def _read_registration(self) -> None:
        found = await read_registration(self._client, self._state.view)
        if found is None and self._state.view.registered:
            self._note_unread(MUTATING_WEBHOOK_CONFIGURATIONS)
        self._webhooks = (found or {}).get("webhooks") or []
        if found and _INJECT_CA in (found["metadata"].get("annotations") or {}):
            self._secret = _CERT_MANAGER_SECRET
        configs = [webhook["clientConfig"] for webhook in self._webhooks]
        self._state.ca_published = all(config.get("caBundle") for config in configs)
        self._state.webhook_urls = tuple(dict.fromkeys(config["url"] for config in configs if config.get("url")))

    async def _read_endpoint(self) -> None:
        services = [webhook["clientConfig"].get("service") for webhook in self._webhooks]
        for namespace, name in {(service["namespace"], service["name"]) for service in services if service}:
            self._state.service_problem = await self._service_problem(namespace, name)

    async def _service_problem(self, namespace: str, name: str) -> str:
        try:
            await self._client.get(SERVICES, name, namespace)
            has_ready = await self._has_ready_endpoint(namespace, name)
        except NotFound:
            return f"is registered at Service {namespace}/{name}, which does not exist"
        except Forbidden:
            self._state.unread.append(f"Service {namespace}/{name} and its endpoints")
            return ""
        return "" if has_ready else f"has no ready Pod behind Service {namespace}/{name}"

    async def _has_ready_endpoint(self, namespace: str, name: str) -> bool:
        if self._state.version < _HAS_ENDPOINT_SLICES:
            # A list, since a Service without a selector may have no Endpoints, and is there all the same.
            found = await self._client.list(ENDPOINTS, namespace, field_selector=f"metadata.name={name}")
            return any(subset.get("addresses") for each in found for subset in each.get("subsets") or ())
        of_service = f"kubernetes.io/service-name={name}"
        slices = await self._client.list(ENDPOINT_SLICES, namespace, label_selector=of_service)
        endpoints = [endpoint for each in slices for endpoint in each.get("endpoints") or ()]
        # An endpoint without the condition counts as ready.
        return any((endpoint.get("conditions") or {}).get("ready", True) for endpoint in endpoints)

    async def _read_certificate(self) -> None:
        try:
            self._state.certificate = await read_certificate(self._client, self._own, self._secret, CONFIGURATION)
        except Forbidden:
            self._state.unread.append(f"The webhook's certificate (Secret {self._own}/{self._secret})")
        except RefusedError as error:
            self._state.certificate_problem = str(error)

    async def _read_classes(self) -> None:
        if self._state.version >= NO_IN_TREE_RBD:  # only these are checked
            self._state.classes = [each for each in await self._list(STORAGE_CLASSES) if is_sutler_class(each)]

    async def _read_permissions(self) -> None:
        call = self._client.list(SERVICE_ACCOUNTS, self._own)
        names = {each["metadata"]["name"] for each in await self._if_allowed(UNREAD_PERMISSIONS, call) or []}
        issues = self._secret == SECRET
        needed = [
            (account, each)
            for account, all_ in permissions.NEEDED.items()
            if account in names
            for each in all_
            if issues or not each.issuing
        ]
        calls = [self._client.post(permissions.PATH, permissions.access_review(self._own, *each)) for each in needed]
        reviews = await self._if_allowed(UNREAD_PERMISSIONS, asyncio.gather(*calls)) or []
        self._state.permissions_checked = len(reviews)
        for (account, permission), review in zip(needed, reviews, strict=False):
            if not (review.get("status") or {}).get("allowed"):
                self._state.denied.append((account, str(permission)))

    async def _read_pods(self) -> None:
        state = self._state
        for obj in await self._list(PODS, self._namespace):
            if has_ended(obj):
                continue
            state.pods.append(parse_pod(obj))
            if parse_failing_pod(obj):
                failing = parse_failing_pod(obj, await self._event_messages(obj))
                state.failing_pods += [failing] if failing else []
        for namespace in {failing.pod.namespace for failing in state.failing_pods}:
            for account in await self._list(SERVICE_ACCOUNTS, namespace):
                state.view.add_account(account)

    async def _event_messages(self, pod: Json) -> list[str]:
        metadata = pod["metadata"]
        about = f"involvedObject.uid={metadata['uid']},reason=Failed"
        events = await self._list(EVENTS, metadata["namespace"], field_selector=about)
        events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return [event.get("message") or "" for event in events]

    async def _read_copies(self) -> None:
        """Reads pull secrets of failing Pods, source Secrets, and all Secrets that have the name of a copy."""
        view, failing = self._state.view, self._state.failing_pods
        needed = {(each.pod.namespace, name) for each in failing for name in each.pod.pull_secrets}
        needed |= {(self._own, mapping.copy_from) for mapping in view.mappings if mapping.copy_from}
        for namespace, name in sorted(needed):
            view.secrets[namespace, name] = info = await read_secret_info(self._client, namespace, name)
            if info.unknown:
                self._note_unread(SECRETS, self._namespace)
        for name in sorted({mapping.secret for mapping in view.mappings}):
            try:
                found = await self._client.list(SECRETS, self._namespace, field_selector=f"metadata.name={name}")
            except Forbidden:
                self._note_unread(SECRETS, self._namespace)
                continue
            self._state.copies[name] = {each["metadata"]["namespace"]: _mapping_of_copy(each) for each in found}

    async def _try_pod(self) -> None:
        unready = {obj["metadata"]["name"]: _unready_reason(obj) for obj in self._state.mappings}
        found = list(dry_run.candidates(self._state.view, self._namespace, self._state.terminating))
        # A mapping that is not ready may have no Secret, so a dry run with it shows less.
        chosen = next((each for each in found if not unready[each[0].name]), next(iter(found), None))
        if chosen is None:
            unread = [what for what in (UNREAD_MAPPINGS, UNREAD_NAMESPACES) if what in self._state.unread]
            why = f"you may not read {' and '.join(unread)}" if unread else self._why_no_candidate()
            self._state.dry_run = DryRun(DryRunResult.NOT_TRIED, why=why, unread=bool(unread))
            return
        mapping, namespace, image = chosen
        reason = unready[mapping.name]
        reason = reason and f"mapping {mapping.name} is not ready: {reason}"
        tried = DryRun(DryRunResult.NOT_INJECTED, image, namespace, mapping.secret, unready=reason)
        try:
            created = await self._client.dry_run_create(PODS, dry_run.pod(image), namespace)
        except ApiError as error:
            tried = replace(tried, result=DryRunResult.REJECTED, why=error.message or str(error))
        else:
            if mapping.secret in dry_run.pull_secrets(created):
                tried = replace(tried, result=DryRunResult.INJECTED)
        self._state.dry_run = tried

    def _why_no_candidate(self) -> str:
        if not self._state.view.mappings:
            return "there is no mapping yet"
        if self._namespace:
            return f"no mapping injects a pull secret in namespace {self._namespace}"
        return "no mapping injects a pull secret in any existing namespace"

    async def _list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        """The objects; none if the user may not list them or the cluster does not have the kind."""
        try:
            return await self._client.list(
                resource, namespace, label_selector=label_selector, field_selector=field_selector
            )
        except NotFound:
            return []
        except Forbidden:
            self._note_unread(resource, namespace)
            return []

    async def _if_allowed(self, what: str, call: Awaitable[T]) -> T | None:
        """The result; None if the object does not exist or the user may not read it."""
        try:
            return await call
        except NotFound:
            return None
        except Forbidden:
            if what not in self._state.unread:
                self._state.unread.append(what)
            return None

    def _note_unread(self, resource: Resource, namespace: str | None = None) -> None:
        here = self._namespace if namespace not in {None, self._own} else None
        what = f"{resource.kind}s{f' of namespace {here}' if here else ''}"
        if what not in self._state.unread:
            self._state.unread.append(what)


def _mapping_of_copy(secret: Json) -> str:
    """The mapping whose copy the Secret is; empty for a Secret that is not Sutler's."""
    metadata = secret["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    here = f"{metadata['namespace']}/{metadata['name']}"
    is_copy = labels.get(well_known.MANAGED_BY) == well_known.MANAGER and annotations.get(well_known.COPY, here) == here
    return labels.get(well_known.MAPPING) or "" if is_copy else ""


def _unready_reason(mapping: Json) -> str:
    """Why the mapping's copies may be missing; empty if it is ready or has none."""
    if (condition := ready_condition(mapping)).get("status") == "False":
        return str(condition.get("message"))
    if not condition and (mapping["spec"].get("pullSecret") or {}).get("copyFrom"):
        return "the secrets controller has not processed it yet"
    return ""


def _component(obj: Json) -> str:
    return str((obj["metadata"].get("labels") or {}).get(well_known.COMPONENT, ""))


def _leading_number(text: object) -> int:
    """20 of `20`, and of `20+`, as some providers write it."""
    found = re.match(r"\d+", str(text))
    return int(found[0]) if found else 0
