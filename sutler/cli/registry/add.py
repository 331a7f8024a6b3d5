"""Writes a registry's source Secret and its mapping, or puts a new password into them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sutler.cli.explain.fetch import mappings
from sutler.cli.output import RefusedError
from sutler.cli.registry.plan import (
    RegistryRequest,
    RegistryTarget,
    mapping_body,
    secret_body,
    secret_patch,
    selector_patch,
    target_of,
)
from sutler.cli.registry.selectors import show_selector, why_none
from sutler.kube.client import Client
from sutler.kube.errors import Forbidden, NotFound
from sutler.kube.resources import NAMESPACES, REGISTRY_MAPPINGS, SECRETS
from sutler.registry.selector import LabelSelector
from sutler.typedefs import Json


@dataclass(frozen=True)
class AddResult:
    """What was done for one registry."""

    server: str
    target: RegistryTarget
    namespace: str
    selector: Json
    secret_was: str
    """created, changed or unchanged."""
    mapping_was: str
    selected: int | None
    """Namespaces that are selected now; None: not for us to know."""
    none_because: str = ""
    """Why none is selected, and what to type."""

    def as_json(self) -> dict[str, Any]:
        return {
            "server": self.server,
            "mapping": self.target.name,
            "pullSecret": self.pull_secret,
            "source": {"namespace": self.namespace, "name": self.target.secret},
            "namespaceSelector": self.selector,
            "selectedNamespaces": self.selected,
            "changes": {"secret": self.secret_was, "mapping": self.mapping_was},
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
        done = f"mapping {self.target.name} {self.mapping_was}, Secret {self.source} {self.secret_was}"
        where = f"{show_selector(self.selector)}{count}"
        lines = [
            f"{self.server}: {done}.",
            f"  Pods with its images get the pull secret {self.pull_secret}, in {where}.",
        ]
        if self.selected == 0 and self.selector:
            lines.append(f"  {self.none_because}")
        return "\n".join(lines)


async def add_all(
    client: Client, wanted: Sequence[RegistryRequest], own_namespace: str
) -> tuple[list[AddResult], dict[str, RefusedError]]:
    """What was done, and by server why nothing was done for it: that does not keep the others out."""
    known, added, refused = [*await mappings(client)], [], {}
    for each in wanted:
        try:
            done = await add(client, each, known, own_namespace)
        except RefusedError as error:
            refused[each.server] = error
            continue
        added.append(done)
        if done.target.mapping is None:
            known.append(mapping_body(each, done.target))
    return added, refused


async def add(client: Client, wanted: RegistryRequest, known: Sequence[Json], own_namespace: str) -> AddResult:
    """Every step can be repeated: the Secret comes first, since a mapping without it would complain."""
    target = target_of(wanted, known)
    secret_was = await _put_secret(client, wanted, target, own_namespace)
    mapping_was = await _put_mapping(client, wanted, target)
    selector = wanted.selector
    if selector is None:
        selector = target.mapping["spec"].get("namespaceSelector") or {} if target.mapping else {}
    labels = await _labels(client)
    selected = None if labels is None else sum(LabelSelector.parse(selector).matches(each) for each in labels.values())
    none_because = "" if labels is None else why_none(selector, labels)
    return AddResult(wanted.server, target, own_namespace, selector, secret_was, mapping_was, selected, none_because)


async def _put_secret(client: Client, wanted: RegistryRequest, target: RegistryTarget, namespace: str) -> str:
    try:
        secret = await client.get(SECRETS, target.secret, namespace)
    except NotFound:
        await client.create(SECRETS, secret_body(wanted, target, namespace))
        return "created"
    patch = secret_patch(wanted, target, secret)
    if patch is None:
        return "unchanged"
    await client.merge_patch(SECRETS, target.secret, patch, namespace)
    return "changed"


async def _put_mapping(client: Client, wanted: RegistryRequest, target: RegistryTarget) -> str:
    if target.mapping is None:
        await client.create(REGISTRY_MAPPINGS, mapping_body(wanted, target))
        return "created"
    patch = selector_patch(wanted, target)
    if not patch:
        return "unchanged"
    await client.json_patch(REGISTRY_MAPPINGS, target.name, patch)
    return "changed"


async def _labels(client: Client) -> dict[str, dict[str, str]] | None:
    """Of all namespaces; None: not for us to know."""
    try:
        async with asyncio.timeout(10):
            namespaces = await client.list(NAMESPACES)
    except (Forbidden, TimeoutError):
        return None
    return {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in namespaces}
