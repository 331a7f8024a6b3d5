"""Makes what a registry with a token needs, or brings it up to date. Every step can be repeated."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sutler import well_known
from sutler.cli.common_reads import list_mappings
from sutler.cli.exit_codes import RefusedError
from sutler.cli.registry.add import AddResult, put_mapping, result_of
from sutler.cli.registry.plan import RegistryRequest, find_target
from sutler.cli.registry.token_objects import TokenObjects
from sutler.cli.registry.token_source import TokenChoice, checked_spec
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, Forbidden, NotFound
from sutler.kube.resources import (
    REGISTRY_TOKENS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from sutler.typedefs import Json

NO_TOKENS = (
    "this cluster has no RegistryTokens: kubectl apply -f manifests/crds, and install the component tokens "
    "(manifests/overlays/tokens)"
)


@dataclass(frozen=True)
class AddedToken:
    added: AddResult
    token_change: str
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        found = self.added.as_json()
        found["changes"]["token"] = self.token_change
        return {**found, "token": self.added.target.name, "note": self.note or None}

    def as_text(self) -> str:
        name = self.added.target.name
        lines = [
            self.added.as_text(),
            f"  RegistryToken {name} {self.token_change}: its password is refreshed before it ends.",
        ]
        lines += [f"  Note: {self.note}"] if self.note else []
        return "\n".join([*lines, f"  To check it: sutler token list; then sutler registry check {name}"])


async def add_token(client: Client, request: RegistryRequest, choice: TokenChoice, own_namespace: str) -> AddedToken:
    target = find_target(request, await list_mappings(client))
    spec, note = checked_spec(request.server, target.secret, choice)
    objects = TokenObjects(target.name, own_namespace, spec)
    found = await _existing_token(client, objects)
    # The rights and the Secret come first: the process would complain of a token without them.
    if objects.account:
        with suppress(AlreadyExists):
            await client.create(SERVICE_ACCOUNTS, objects.service_account())
    await _put(client, ROLES, objects.role())
    await _put(client, ROLE_BINDINGS, objects.role_binding())
    secret_change = await _put_secret(client, objects)
    token_change = await _put_token(client, objects, found)
    mapping_change = await put_mapping(client, request, target)
    added = await result_of(client, request, target, own_namespace, (secret_change, mapping_change))
    return AddedToken(added, token_change, note)


async def mappings_and_tokens(client: Client) -> tuple[list[Json], list[Json], datetime]:
    """With the API server's time. No tokens where the kind is not there, or not to be seen."""
    found = await list_mappings(client)
    try:
        tokens = await client.list(REGISTRY_TOKENS)
    except (NotFound, Forbidden):
        tokens = []
    return found, tokens, client.now()


async def _existing_token(client: Client, objects: TokenObjects) -> Json | None:
    """Raises RefusedError for one that this command did not create and that differs."""
    try:
        known = {each["metadata"]["name"]: each for each in await client.list(REGISTRY_TOKENS)}
    except NotFound:
        raise RefusedError(NO_TOKENS) from None
    found = known.get(objects.name)
    if found is None or found["spec"] == objects.spec:
        return found
    if (found["metadata"].get("labels") or {}).get(well_known.SOURCE_OF) != objects.name:
        raise RefusedError(
            f"RegistryToken {objects.name} exists and was not created by this command, so it is kept. Choose another "
            "name with --name, or edit it"
        )
    return found


async def _put_token(client: Client, objects: TokenObjects, found: Json | None) -> str:
    if found is None:
        await client.create(REGISTRY_TOKENS, objects.token())
        return "created"
    if found["spec"] == objects.spec:
        return "unchanged"
    operations = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec", "value": objects.spec},
    ]
    await client.json_patch(REGISTRY_TOKENS, objects.name, operations)
    return "changed"


async def _put_secret(client: Client, objects: TokenObjects) -> str:
    try:
        secret = await client.get(SECRETS, objects.secret_name, objects.namespace)
    except NotFound:
        await client.create(SECRETS, objects.secret())
        return "created"
    patch = objects.secret_patch(secret)
    if patch is None:
        return "unchanged"
    await client.merge_patch(SECRETS, objects.secret_name, patch, objects.namespace)
    return "changed"


async def _put(client: Client, resource: Resource, body: Json) -> None:
    name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
    try:
        await client.create(resource, body)
    except AlreadyExists:
        found = await client.get(resource, name, namespace)
        if {key: found.get(key) for key in ("rules", "subjects") if key in body} != {
            key: body[key] for key in ("rules", "subjects") if key in body
        }:
            version = found["metadata"]["resourceVersion"]
            await client.replace(resource, {**body, "metadata": {**body["metadata"], "resourceVersion": version}})
