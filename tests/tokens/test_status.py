"""What a RegistryToken's status says in each state, and what is kept of it over a restart."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.refresh_state import DeclaredToken, RefreshState, restored
from provisioner.tokens.planning.registry_token import Policy, parse_registry_token
from provisioner.tokens.planning.token_status import reasons, status_of

Json = dict[str, Any]
WALL = datetime(2026, 11, 27, 12, tzinfo=UTC)
AT = "2026-11-27T12:00:00Z"
NOW = 1000.0
SPEC = {"secretName": "pull", "registries": ["a.azurecr.io"], "acr": {"identity": {"process": "MetadataServer"}}}
TOKEN = parse_registry_token({"metadata": {"name": "acr"}, "spec": SPEC}, Policy())


def declared(status: Json | None = None, *, generation: int = 1, request: str = "", problem: str = "") -> DeclaredToken:
    token = None if problem else TOKEN
    return DeclaredToken("acr", "uid", generation, token, problem, request, status or {})


def refreshed(ends_in: float = 3600.0) -> RefreshState:
    state = RefreshState("uid")
    state.record_success(declared(), fingerprint=b"x", due_in=ends_in / 2, ends_in=ends_in, now=NOW, wall=WALL)
    return state


def failed(state: RefreshState, reason: Reason = Reason.ACCESS_DENIED, times: int = 1) -> RefreshState:
    for _ in range(times):
        state.record_failure(declared(), TokenError(reason, "the cloud said no"), now=NOW, wall=WALL)
    return state


def conditions(state: RefreshState, now: float = NOW, given: DeclaredToken | None = None) -> dict[str, tuple[str, str]]:
    status = status_of(given or declared(), state, now=now, at=AT)
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


CASES: dict[str, tuple[RefreshState, float, tuple[str, str], tuple[str, str]]] = {
    "good": (refreshed(), NOW, ("True", "Refreshed"), ("True", "Scheduled")),
    "good, and the next one fails": (
        failed(refreshed()),
        NOW,
        ("True", "Refreshed"),
        ("False", "AccessDenied"),
    ),
    "ended, and the next one fails": (
        failed(refreshed()),
        NOW + 3600,
        ("False", "CredentialExpired"),
        ("False", "AccessDenied"),
    ),
    "never had one": (failed(RefreshState("uid")), NOW, ("False", "AccessDenied"), ("False", "AccessDenied")),
    "bad expiry, and the last is good": (
        failed(refreshed(), Reason.BAD_EXPIRY),
        NOW,
        ("True", "Refreshed"),
        ("False", "BadExpiry"),
    ),
    "its Secret is gone": (
        failed(refreshed(), Reason.SECRET_MISSING),
        NOW,
        ("False", "SecretMissing"),
        ("False", "SecretMissing"),
    ),
    "its Secret is another's": (
        failed(refreshed(), Reason.CONFLICT),
        NOW,
        ("False", "Conflict"),
        ("False", "Conflict"),
    ),
    "the API server fails": (
        failed(refreshed(), Reason.API_SERVER_FAILED),
        NOW,
        ("True", "Refreshed"),
        ("False", "ApiServerFailed"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_conditions(name: str) -> None:
    state, now, ready, refreshing = CASES[name]
    assert conditions(state, now) == {"Ready": ready, "Refreshing": refreshing}


def test_object_that_is_wrong_is_invalid_and_its_secret_stays() -> None:
    wrong = declared(problem="spec.ecr is wrong")
    status = status_of(wrong, refreshed(), now=NOW, at=AT)
    assert reasons(status) == {"Ready": "Invalid", "Refreshing": "Invalid"}
    assert status["conditions"][0]["message"] == "spec.ecr is wrong. The Secret stays unchanged."
    assert "nextRefresh" not in status
    assert status["expiresAt"] == "2026-11-27T13:00:00Z"


def test_status_has_what_people_ask_for() -> None:
    status = status_of(declared(), failed(refreshed(), times=3), now=NOW, at=AT)
    assert status["identity"] == "the process's MetadataServer"
    assert (status["refreshedAt"], status["expiresAt"]) == (AT, "2026-11-27T13:00:00Z")
    assert status["lastError"] == {"reason": "AccessDenied", "message": "the cloud said no", "at": AT}
    assert "It failed 3 times in a row and Sutler retries at 2026-11-27T12:00:0" in status["conditions"][1]["message"]


def test_transition_time_changes_with_the_status_only() -> None:
    first = status_of(declared(), refreshed(), now=NOW, at="2026-01-01T00:00:00Z")
    again = status_of(declared(first), failed(refreshed()), now=NOW, at=AT)
    times = {each["type"]: each["lastTransitionTime"] for each in again["conditions"]}
    assert times == {"Ready": "2026-01-01T00:00:00Z", "Refreshing": AT}


def test_last_error_stays_after_a_success_and_a_restart() -> None:
    broken = status_of(declared(), failed(refreshed()), now=NOW, at=AT)
    assert status_of(declared(broken), refreshed(), now=NOW, at=AT)["lastError"] == broken["lastError"]


def test_failures_are_spaced_and_a_success_ends_them() -> None:
    state = refreshed()
    error = TokenError(Reason.ENDPOINT_FAILED, "no")
    delays = [state.record_failure(declared(), error, now=NOW, wall=WALL) for _ in range(12)]
    assert delays[0] <= 1.0
    assert delays[-1] >= 225.0
    assert not state.is_due(declared(), NOW + delays[-1] - 1)
    assert state.is_due(declared(), NOW + delays[-1])
    state.record_success(declared(), fingerprint=b"", due_in=60, ends_in=120, now=NOW, wall=WALL)
    assert state.record_failure(declared(), error, now=NOW, wall=WALL) <= 1.0


def test_wish_of_the_endpoint_and_bad_expiry_keep_the_pause_long() -> None:
    error = TokenError(Reason.THROTTLED, "no", retry_after=500)
    assert refreshed().record_failure(declared(), error, now=NOW, wall=WALL) == 500
    assert refreshed().record_failure(declared(), TokenError(Reason.BAD_EXPIRY, "no"), now=NOW, wall=WALL) == 60


@pytest.mark.parametrize("changed", [declared(generation=2), declared(request="now")])
def test_change_of_the_object_is_tried_at_once(changed: DeclaredToken) -> None:
    state = refreshed()
    assert not state.is_due(declared(), NOW)
    assert state.is_due(changed, NOW)
    late = failed(refreshed(), times=9)
    assert not late.is_due(declared(), NOW)
    assert late.is_due(changed, NOW)
    late.record_failure(changed, TokenError(Reason.ACCESS_DENIED, "no"), now=NOW, wall=WALL)
    assert not late.is_due(changed, NOW)


def test_restart_goes_on_where_the_last_process_was() -> None:
    status = status_of(declared(request="a"), refreshed(), now=NOW, at=AT)
    later = WALL + timedelta(seconds=600)
    state = restored(declared(status), now=5.0, wall=later)
    assert not state.is_due(declared(status), 5.0 + 1199)
    assert state.is_due(declared(status), 5.0 + 1200)
    assert not state.has_ended(5.0 + 2999)
    assert state.has_ended(5.0 + 3000)


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"expiresAt": "canary"},
        {"expiresAt": None, "nextRefresh": 7},
        {"expiresAt": "2020-01-01T00:00:00Z", "nextRefresh": "2030-01-01T00:00:00Z"},
        status_of(declared(), failed(refreshed()), now=NOW, at=AT),
        {"expiresAt": "2026-11-27T13:00:00Z", "nextRefresh": "2027-01-01T00:00:00Z", "observedGeneration": 1},
    ],
)
def test_restart_after_trouble_or_with_an_odd_status_tries_at_once(status: Json) -> None:
    assert restored(declared(status), now=5.0, wall=WALL).is_due(declared(status), 5.0)
