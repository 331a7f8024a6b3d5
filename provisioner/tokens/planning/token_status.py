"""The status of a RegistryToken. Pure: no I/O."""

from dataclasses import dataclass

from provisioner.tokens.planning.failure import Reason
from provisioner.tokens.planning.refresh_state import DeclaredToken, RefreshState
from sutler.typedefs import Json

READY, REFRESHING = "Ready", "Refreshing"

_SECRET_REASONS = frozenset((Reason.SECRET_MISSING, Reason.CONFLICT))
"""With these the Secret holds no token of this object, even if the last one has not ended."""

LONGEST_MESSAGE = 4000


@dataclass(frozen=True)
class ConditionState:
    holds: bool
    reason: str
    message: str


def ready_condition(declared: DeclaredToken, state: RefreshState, now: float) -> ConditionState:
    """Whether the Secret holds a token that is good now."""
    if declared.token is None:
        stays = " The Secret stays unchanged." if state.ends_at is not None else ""
        return ConditionState(False, Reason.INVALID, f"{declared.problem}.{stays}")
    secret, error = declared.token.secret_name, state.error
    if state.failures and error and error.reason in _SECRET_REASONS:
        return ConditionState(False, error.reason, f"{error.message}.")
    if state.ends_at is None:
        reason, message = (error.reason, error.message) if error else (Reason.SCHEDULED, "no token has been fetched")
        return ConditionState(False, reason, f"Secret {secret} has no token yet: {message}.")
    if state.has_ended(now):
        why = f" The last refresh failed: {error.message}." if state.failures and error else ""
        return ConditionState(
            False,
            Reason.CREDENTIAL_EXPIRED,
            f"The token in Secret {secret} ended at {state.expires_at}; pulls with it fail.{why}",
        )
    return ConditionState(
        True, Reason.REFRESHED, f"Secret {secret} holds a token that is good until {state.expires_at}."
    )


def refreshing_condition(declared: DeclaredToken, state: RefreshState) -> ConditionState:
    """Whether the next token can be had."""
    if declared.token is None:
        return ConditionState(False, Reason.INVALID, "Sutler refreshes nothing until the object is correct.")
    if state.failures and state.error:
        times = "once" if state.failures == 1 else f"{state.failures} times in a row"
        return ConditionState(
            False,
            state.error.reason,
            f"{state.error.message}. It failed {times} and Sutler retries at {state.next_refresh}.",
        )
    return ConditionState(True, Reason.SCHEDULED, f"The next refresh is due at {state.next_refresh}.")


def status_of(declared: DeclaredToken, state: RefreshState, *, now: float, at: str) -> Json:
    """The whole `status`. `lastTransitionTime` changes only when a condition's status does."""
    conditions = {READY: ready_condition(declared, state, now), REFRESHING: refreshing_condition(declared, state)}
    status: Json = {
        "observedGeneration": declared.generation,
        "conditions": [_condition(declared, kind, each, at) for kind, each in conditions.items()],
    }
    texts = {
        "expiresAt": state.expires_at,
        "refreshedAt": state.refreshed_at,
        "nextRefresh": state.next_refresh if declared.token else "",
        "identity": declared.token.identity if declared.token else "",
        "refreshRequest": state.request,
    }
    status |= {name: text for name, text in texts.items() if text}
    error = state.error
    if error:
        status["lastError"] = {"reason": error.reason, "message": _cut(error.message), "at": error.at}
    elif declared.status.get("lastError"):
        status["lastError"] = declared.status["lastError"]
    return status


def reasons(status: Json) -> dict[str, str]:
    """Of a stored status, by the condition's type: for telling a transition from a repetition."""
    return {str(each.get("type")): str(each.get("reason", "")) for each in status.get("conditions") or []}


def _condition(declared: DeclaredToken, kind: str, found: ConditionState, at: str) -> Json:
    text = "True" if found.holds else "False"
    before: Json = next((each for each in declared.status.get("conditions") or [] if each.get("type") == kind), {})
    return {
        "type": kind,
        "status": text,
        "reason": str(found.reason),
        "message": _cut(found.message),
        "observedGeneration": declared.generation,
        "lastTransitionTime": before.get("lastTransitionTime", at) if before.get("status") == text else at,
    }


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"
