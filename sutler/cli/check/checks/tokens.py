"""Checks of RegistryTokens and of the process that refreshes them."""

from collections.abc import Iterator
from datetime import timedelta

from sutler.cli.check.checks.webhook import pods_command
from sutler.cli.check.cluster_state import UNREAD_LEASES, UNREAD_MAPPINGS, ClusterState
from sutler.cli.check.findings import Finding, note, problem
from sutler.cli.leases import renew_time
from sutler.cli.token.render import condition, ends_in
from sutler.typedefs import Json

_FIRST_REFRESH_TIME = timedelta(seconds=60)
"""Time that the first status of a RegistryToken may take before its absence is a problem."""


def registry_tokens(state: ClusterState) -> Iterator[Finding]:
    if state.tokens and UNREAD_LEASES not in state.unread and not state.leader("tokens"):
        yield _process(state)
    for obj in state.tokens:
        yield from _token(state, obj)


def _process(state: ClusterState) -> Finding:
    if last := renew_time(state.leases.get("tokens", {})):
        why = f"was last seen at {last}: no token is refreshed until it runs"
        return problem("The tokens process", why, pods_command(state, "get pods", "tokens"))
    why = "does not run: no token is fetched or refreshed"
    return problem("The tokens process", why, "kubectl apply -k manifests/overlays/tokens")


def _token(state: ClusterState, obj: Json) -> Iterator[Finding]:
    name = obj["metadata"]["name"]
    what, describe = f"RegistryToken {name}", f"kubectl describe registrytoken {name}"
    ready, refreshing = condition(obj, "Ready"), condition(obj, "Refreshing")
    expires_at = (obj.get("status") or {}).get("expiresAt")
    if not ready:
        if state.age(obj["metadata"].get("creationTimestamp")) > _FIRST_REFRESH_TIME:
            yield problem(what, "has no status: the tokens process has not processed it", describe)
        return
    refresh = f"sutler token refresh {name}"
    if ready.get("status") == "False":
        yield problem(what, f"has no good token ({ready.get('reason')}): {ready.get('message')}", describe, refresh)
    elif _has_ended(state, expires_at):
        yield problem(what, f"is Ready, but its token ended at {expires_at}", describe, refresh)
    elif refreshing.get("status") == "False":
        left = ends_in(expires_at, state.now)
        why = f"cannot be refreshed, and its token ends in {left}: {refreshing.get('message')}"
        yield problem(what, why, describe, refresh)
    else:
        source = obj["spec"].get("secretName")
        used = any(mapping.copy_from == source for mapping in state.view.mappings)
        if not used and UNREAD_MAPPINGS not in state.unread:
            yield note(what, f"is used by no mapping: none has copyFrom {source}")


def _has_ended(state: ClusterState, expires_at: object) -> bool:
    return isinstance(expires_at, str) and bool(expires_at) and state.age(expires_at) > timedelta(0)
