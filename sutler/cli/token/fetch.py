"""Reads RegistryTokens, and requests their refresh."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from sutler import well_known
from sutler.cli.exit_codes import RefusedError
from sutler.cli.registry.add_token import NO_TOKENS
from sutler.cli.token.render import RefreshOutcome, condition
from sutler.kube.client import Client, Json
from sutler.kube.errors import NotFound
from sutler.kube.resources import REGISTRY_TOKENS

_POLL_SECONDS = 0.5


async def tokens(client: Client) -> tuple[list[Json], datetime]:
    """All of them, and the time by the API server's clock."""
    try:
        found = await client.list(REGISTRY_TOKENS)
    except NotFound:
        raise RefusedError(NO_TOKENS) from None
    return found, client.now()


async def refresh(client: Client, names: Sequence[str], timeout_seconds: float) -> list[RefreshOutcome]:
    """Asks for all, then waits for each: all of them together for no longer than the time."""
    known = {each["metadata"]["name"] for each in (await tokens(client))[0]}
    unknown = [name for name in names if name not in known]
    if unknown:
        have = ", ".join(sorted(known)) or "none"
        raise RefusedError(
            f"there is no RegistryToken {', '.join(unknown)}; the existing ones are: {have}. Nothing was requested"
        )
    request = client.now().isoformat(timespec="milliseconds")
    for name in names:
        await client.merge_patch(
            REGISTRY_TOKENS, name, {"metadata": {"annotations": {well_known.REFRESH_REQUESTED_AT: request}}}
        )
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    return [await _outcome(client, name, request, deadline) for name in names]


async def _outcome(client: Client, name: str, request: str, deadline: float) -> RefreshOutcome:
    while True:
        found = await client.get(REGISTRY_TOKENS, name)
        status = found.get("status") or {}
        if status.get("refreshRequest") == request:
            refreshing = condition(found, "Refreshing")
            if refreshing.get("status") == "True":
                return RefreshOutcome(name, True, f"refreshed, good until {status.get('expiresAt')}")
            return RefreshOutcome(name, False, f"not refreshed: {refreshing.get('message')}")
        if asyncio.get_running_loop().time() > deadline:
            running = "does the tokens process run? kubectl -n sutler-system get deployment sutler-tokens"
            return RefreshOutcome(name, False, f"not refreshed yet: {running}")
        await asyncio.sleep(_POLL_SECONDS)
