"""Looks at an installation. Goes on where it may not look, and says so."""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

from sutler.cli import leases
from sutler.cli.certs.cli import CONFIGURATION, SECRET
from sutler.cli.certs.fetch import gather
from sutler.cli.check_install import dry_run, permissions
from sutler.cli.check_install.installation import (
    HELD,
    LEADING,
    MAPPINGS,
    NO_IN_TREE,
    REGISTRATION,
    RIGHTS,
    SPACES,
    InjectionTrial,
    InstallationReport,
    Trial,
)
from sutler.cli.cluster_view import ClusterView
from sutler.cli.explain.fetch import look_at_webhook
from sutler.cli.output import RefusedError
from sutler.cli.registry.list_rows import ready
from sutler.kube.client import Client
from sutler.kube.errors import ApiError, Forbidden, NotFound
from sutler.kube.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    PODS,
    REGISTRY_MAPPINGS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STORAGE_CLASSES,
)
from sutler.typedefs import Json
from sutler.volumes.storage_class import is_sutler_class

T = TypeVar("T")

CRD = "registrymappings.sutler.dev"
_OURS = "app.kubernetes.io/name=sutler"
_COMPONENT = "app.kubernetes.io/component"
_HAS_SLICES = (1, 21)


class InstallationReader:
    """`namespace`: where to try the Pod; None: wherever a mapping is for."""

    def __init__(self, client: Client, own_namespace: str, namespace: str | None) -> None:
        self._client = client
        self._own = own_namespace
        self._namespace = namespace
        self._seen = InstallationReport(own_namespace, ClusterView(own_namespace))

    async def around(self) -> InstallationReport:
        seen, client = self._seen, self._client
        version = await client.version()
        seen.version = (_number(version.get("major")), _number(version.get("minor")))
        seen.crd = await self._if_allowed("the CRD", client.get(CUSTOM_RESOURCE_DEFINITIONS, CRD))
        await self._deployments()
        await self._leases()
        await self._webhook()
        for obj in await self._if_allowed(MAPPINGS, client.list(REGISTRY_MAPPINGS)) or []:
            seen.world.add_mapping(obj)
            if (condition := ready(obj)).get("status") == "False":
                seen.unready[obj["metadata"]["name"]] = str(condition.get("message"))
            elif not condition and (obj["spec"].get("pullSecret") or {}).get("copyFrom"):
                seen.unready[obj["metadata"]["name"]] = "the secrets controller has not looked at it yet"
        for obj in await self._if_allowed(SPACES, client.list(NAMESPACES)) or []:
            if not obj["metadata"].get("deletionTimestamp"):
                seen.world.add_namespace(obj)
        if seen.version >= NO_IN_TREE:
            classes = await self._if_allowed("StorageClasses", client.list(STORAGE_CLASSES))
            seen.classes = [each for each in classes or [] if is_sutler_class(each)]
        await self._rights()
        seen.trial = await self._try()
        seen.now = client.now().isoformat()
        return seen

    async def _deployments(self) -> None:
        seen, client = self._seen, self._client
        found = await self._if_allowed("Deployments", client.list(DEPLOYMENTS, self._own, label_selector=_OURS))
        seen.deployments = {_component(each): each for each in found or []}
        seen.pods = await self._if_allowed("Pods", client.list(PODS, self._own, label_selector=_OURS)) or []

    async def _leases(self) -> None:
        for component in LEADING:
            lease = await self._if_allowed(HELD, leases.look_at(self._client, f"sutler-{component}", self._own))
            if lease is not None:
                self._seen.leases[component] = lease

    async def _webhook(self) -> None:
        seen = self._seen
        found = await look_at_webhook(self._client, seen.world)
        if found is None and seen.world.registered:
            seen.unseen.append(REGISTRATION)
        configs = [webhook["clientConfig"] for webhook in (found or {}).get("webhooks") or []]
        seen.urls = tuple(dict.fromkeys(config["url"] for config in configs if config.get("url")))
        services = {
            (config["service"]["namespace"], config["service"]["name"]) for config in configs if "service" in config
        }
        for namespace, name in services:
            seen.service = await self._why_unreachable(namespace, name)
        try:
            seen.certificate = await gather(self._client, self._own, SECRET, CONFIGURATION)
        except Forbidden:
            seen.unseen.append(f"the webhook's certificate (Secret {self._own}/{SECRET})")
        except RefusedError as error:
            seen.certificate_trouble = str(error)

    async def _why_unreachable(self, namespace: str, name: str) -> str:
        try:
            await self._client.get(SERVICES, name, namespace)
            ready = await self._has_ready(namespace, name)
        except NotFound:
            return f"is registered at Service {namespace}/{name}, which is not there"
        except Forbidden:
            self._seen.unseen.append(f"Service {namespace}/{name} and its endpoints")
            return ""
        return "" if ready else f"has no Pod that is ready behind Service {namespace}/{name}"

    async def _has_ready(self, namespace: str, name: str) -> bool:
        if self._seen.version < _HAS_SLICES:
            found = await self._client.get(ENDPOINTS, name, namespace)
            return any(subset.get("addresses") for subset in found.get("subsets") or ())
        of_service = f"kubernetes.io/service-name={name}"
        slices = await self._client.list(ENDPOINT_SLICES, namespace, label_selector=of_service)
        endpoints = [endpoint for each in slices for endpoint in each.get("endpoints") or ()]
        # What does not say so counts as ready.
        return any((endpoint.get("conditions") or {}).get("ready", True) for endpoint in endpoints)

    async def _rights(self) -> None:
        accounts = await self._if_allowed(RIGHTS, self._client.list(SERVICE_ACCOUNTS, self._own))
        names = {each["metadata"]["name"] for each in accounts or []}
        needed = [
            (account, right) for account, each in permissions.NEEDED.items() if account in names for right in each
        ]
        asking = [self._client.post(permissions.PATH, permissions.review(self._own, *each)) for each in needed]
        answers = await self._if_allowed(RIGHTS, asyncio.gather(*asking)) or []
        self._seen.asked = len(answers)
        for (account, right), answer in zip(needed, answers, strict=False):
            if not (answer.get("status") or {}).get("allowed"):
                self._seen.denied.append((account, str(right)))

    async def _try(self) -> Trial:
        found = list(dry_run.choices(self._seen.world, self._namespace))
        # One whose Secret can't be there shows less.
        chosen = next((each for each in found if each[0].name not in self._seen.unready), next(iter(found), None))
        if chosen is None:
            return Trial(InjectionTrial.UNTRIED, why=self._why_nothing_to_try(), unseen=self._unseen_for_trial())
        mapping, namespace, image = chosen
        tried = Trial(InjectionTrial.MISSING, image, namespace, mapping.secret, unready=self._unready(mapping.name))
        try:
            created = await self._client.dry_run_create(PODS, dry_run.pod(image), namespace)
        except ApiError as error:
            return replace(tried, outcome=InjectionTrial.REFUSED, why=error.message or str(error))
        done = mapping.secret in dry_run.secrets_of(created)
        return replace(tried, outcome=InjectionTrial.DONE) if done else tried

    def _unready(self, mapping: str) -> str:
        message = self._seen.unready.get(mapping)
        return f"mapping {mapping} is not ready: {message}" if message else ""

    def _unseen_for_trial(self) -> bool:
        """Whether there may be something to try all the same."""
        return MAPPINGS in self._seen.unseen or SPACES in self._seen.unseen

    def _why_nothing_to_try(self) -> str:
        if self._unseen_for_trial():
            unseen = " and ".join(what for what in (MAPPINGS, SPACES) if what in self._seen.unseen)
            return f"you may not read {unseen}, one of each is needed for it"
        if not self._seen.world.mappings:
            return "there is no mapping yet"
        if self._namespace:
            return f"no mapping injects anything in namespace {self._namespace}"
        return "no mapping injects anything in any namespace that is there"

    async def _if_allowed(self, what: str, call: Awaitable[T]) -> T | None:
        """None where it is not there, or not for us."""
        try:
            return await call
        except NotFound:
            return None
        except Forbidden:
            if what not in self._seen.unseen:
                self._seen.unseen.append(what)
            return None


def _component(obj: Json) -> str:
    return str((obj["metadata"].get("labels") or {}).get(_COMPONENT, ""))


def _number(text: object) -> int:
    """Of `20`, and of `20+`, as some providers write it."""
    found = re.match(r"\d+", str(text))
    return int(found[0]) if found else 0
