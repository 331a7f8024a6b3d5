"""Removes registries: their mappings, and the source Secrets that `sutler registry add` created for them."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sutler import well_known
from sutler.cli.common_reads import list_mappings
from sutler.cli.exit_codes import RefusedError
from sutler.cli.registry.list_rows import no_such_mapping
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.resources import REGISTRY_MAPPINGS, REGISTRY_TOKENS, ROLE_BINDINGS, ROLES, SECRETS
from sutler.typedefs import Json


@dataclass(frozen=True)
class RemoveResult:
    name: str
    secret: str
    """What happened to the source Secret, as text."""

    def as_json(self) -> dict[str, Any]:
        return {"mapping": self.name, "source": self.secret}

    def as_text(self) -> str:
        return (
            f"mapping {self.name} deleted; its copies will be deleted shortly. "
            f"{self.secret[:1].upper()}{self.secret[1:]}.\n"
            "  Running Pods are unaffected; new pulls of its images are anonymous."
        )


async def remove(client: Client, names: list[str], own_namespace: str) -> list[RemoveResult]:
    """Removes all or none: an unknown name is refused before anything is deleted."""
    known = {mapping["metadata"]["name"]: mapping for mapping in await list_mappings(client)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise RefusedError(f"{no_such_mapping(unknown, known)}. Nothing was removed")
    removed = []
    for name in dict.fromkeys(names):
        mapping = known.pop(name)
        await _delete_mapping(client, mapping)
        removed.append(RemoveResult(name, await _delete_source(client, mapping, list(known.values()), own_namespace)))
    return removed


async def _delete_mapping(client: Client, mapping: Json) -> None:
    metadata = mapping["metadata"]
    try:
        await client.delete(REGISTRY_MAPPINGS, metadata["name"], uid=metadata["uid"])
    except NotFound:
        return  # already deleted


async def _delete_source(client: Client, mapping: Json, others: list[Json], own_namespace: str) -> str:
    source = _source(mapping)
    if not source:
        return "it copied no Secret"
    where = f"Secret {own_namespace}/{source}"
    users = [other["metadata"]["name"] for other in others if _source(other) == source]
    if users:
        return f"{where} is kept: mapping {', '.join(users)} copies it too"
    try:
        secret = await client.get(SECRETS, source, own_namespace)
    except NotFound:
        return f"{where} did not exist"
    if (secret["metadata"].get("labels") or {}).get(well_known.SOURCE_OF) != mapping["metadata"]["name"]:
        return f"{where} is kept: sutler registry add did not create it for this mapping"
    token = (secret["metadata"].get("labels") or {}).get(well_known.TOKEN)
    if token and not await _delete_token(client, token, own_namespace):
        return f"{where} is kept: it belongs to RegistryToken {token}, which sutler registry add did not create"
    await client.delete(SECRETS, source, own_namespace, uid=secret["metadata"]["uid"])
    return f"{where} and RegistryToken {token} deleted" if token else f"{where} deleted"


async def _delete_token(client: Client, name: str, own_namespace: str) -> bool:
    """With the rights that were given for it. False: it is another's, and stays."""
    try:
        found = await client.get(REGISTRY_TOKENS, name)
    except NotFound:
        return True
    if (found["metadata"].get("labels") or {}).get(well_known.SOURCE_OF) != name:
        return False
    with suppress(NotFound):
        await client.delete(REGISTRY_TOKENS, name, uid=found["metadata"]["uid"])
    for resource in (ROLE_BINDINGS, ROLES):
        with suppress(NotFound):
            await client.delete(resource, f"sutler-token-{name}", own_namespace)
    return True


def _source(mapping: Json) -> str | None:
    name: str | None = (mapping["spec"].get("pullSecret") or {}).get("copyFrom")
    return name
