"""Creates a registry's source Secret and its mapping, or updates the password in them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sutler.cli.common_reads import list_mappings
from sutler.cli.exit_codes import RefusedError
from sutler.cli.registry.plan import (
    RegistryRequest,
    RegistryTarget,
    find_target,
    mapping_body,
    secret_body,
    secret_patch,
    selector_patch,
)
from sutler.cli.registry.selectors import render_selector, why_none
from sutler.kube.client import Client
from sutler.kube.errors import Forbidden, NotFound
from sutler.kube.resources import NAMESPACES, REGISTRY_MAPPINGS, SECRETS
from sutler.registry.selector import LabelSelector
from sutler.typedefs import Json


@dataclass(frozen=True)
class AddResult:
    """What was changed for one registry."""

    server: str
    target: RegistryTarget
    namespace: str
    selector: Json
    secret_change: str
    """created, changed or unchanged."""
    mapping_change: str
    """The same of the mapping."""
    selected: int | None
    """Number of namespaces that are selected now; None if the user may not list them."""
    none_because: str = ""
    """Why none is selected, and what to do."""

    def as_json(self) -> dict[str, Any]:
        return {
            "server": self.server,
            "mapping": self.target.name,
            "pullSecret": self.pull_secret,
            "source": {"namespace": self.namespace, "name": self.target.secret},
            "namespaceSelector": self.selector,
            "selectedNamespaces": self.selected,
            "changes": {"secret": self.secret_change, "mapping": self.mapping_change},
        }

    @property
    def source(self) -> str:
        return f"{self.namespace}/{self.target.secret}"

    @property
    def pull_secret(self) -> str:
        mapping = self.target.mapping
        return str(mapping["spec"]["pullSecret"]["name"]) if mapping else self.target.name

    def as_text(self) -> str:
        count = "" if self.selected is None else f" ({self.selected} now)"
        changes = f"mapping {self.target.name} {self.mapping_change}, Secret {self.source} {self.secret_change}"
        where = f"{render_selector(self.selector)}{count}"
        lines = [
            f"{self.server}: {changes}.",
            f"  New Pods with its images get the pull secret {self.pull_secret}, in {where}.",
        ]
        if self.selected == 0 and self.selector:
            lines.append(f"  {self.none_because}")
        return "\n".join(lines)


async def add_all(
    client: Client, requests: Sequence[RegistryRequest], own_namespace: str
) -> tuple[list[AddResult], dict[str, RefusedError]]:
    """The results, and by server the errors of those that were refused, which do not stop the others."""
    known, added, refused = [*await list_mappings(client)], [], {}
    for each in requests:
        try:
            done = await add(client, each, known, own_namespace)
        except RefusedError as error:
            refused[each.server] = error
            continue
        added.append(done)
        if done.target.mapping is None:
            known.append(mapping_body(each, done.target))
    return added, refused


async def add(client: Client, request: RegistryRequest, known: Sequence[Json], own_namespace: str) -> AddResult:
    """Every step can be repeated. The Secret comes first, because a mapping without it would not be ready."""
    target = find_target(request, known)
    secret_change = await _put_secret(client, request, target, own_namespace)
    mapping_change = await put_mapping(client, request, target)
    return await result_of(client, request, target, own_namespace, (secret_change, mapping_change))


async def result_of(
    client: Client, request: RegistryRequest, target: RegistryTarget, own_namespace: str, changes: tuple[str, str]
) -> AddResult:
    """The result, with the namespaces that get the Secret. `changes` are those of Secret and mapping."""
    secret_change, mapping_change = changes
    selector = request.selector
    if selector is None:
        selector = target.mapping["spec"].get("namespaceSelector") or {} if target.mapping else {}
    labels = await _namespace_labels(client)
    selected = None if labels is None else sum(LabelSelector.parse(selector).matches(each) for each in labels.values())
    none_because = "" if labels is None else why_none(selector, labels)
    return AddResult(
        request.server, target, own_namespace, selector, secret_change, mapping_change, selected, none_because
    )


async def _put_secret(client: Client, request: RegistryRequest, target: RegistryTarget, namespace: str) -> str:
    try:
        secret = await client.get(SECRETS, target.secret, namespace)
    except NotFound:
        await client.create(SECRETS, secret_body(request, target, namespace))
        return "created"
    patch = secret_patch(request, target, secret)
    if patch is None:
        return "unchanged"
    await client.merge_patch(SECRETS, target.secret, patch, namespace)
    return "changed"


async def put_mapping(client: Client, request: RegistryRequest, target: RegistryTarget) -> str:
    if target.mapping is None:
        await client.create(REGISTRY_MAPPINGS, mapping_body(request, target))
        return "created"
    patch = selector_patch(request, target)
    if not patch:
        return "unchanged"
    await client.json_patch(REGISTRY_MAPPINGS, target.name, patch)
    return "changed"


async def _namespace_labels(client: Client) -> dict[str, dict[str, str]] | None:
    """Labels by namespace; None if the user may not list namespaces, or that takes too long."""
    try:
        async with asyncio.timeout(10):
            namespaces = await client.list(NAMESPACES)
    except (Forbidden, TimeoutError):
        return None
    return {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in namespaces}
