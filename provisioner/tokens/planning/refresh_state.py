"""The state of a token between two checks, and what follows from it. Pure: no I/O.

Times to wait for are of a clock that no one sets (seconds since the machine's start). Times that people read are of
the wall.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.registry_token import RegistryToken
from provisioner.tokens.planning.schedule import retry_delay
from sutler.typedefs import Json


@dataclass(frozen=True)
class DeclaredToken:
    """A RegistryToken object."""

    name: str
    uid: str
    generation: int
    token: RegistryToken | None
    """The spec; None if it is invalid, and `problem` has the reason."""
    problem: str
    request: str
    """The value of its annotation."""
    status: Json

    def same_wish(self, other: "DeclaredToken | None") -> bool:
        return other is not None and (self.uid, self.generation, self.request, self.problem) == (
            other.uid,
            other.generation,
            other.request,
            other.problem,
        )


@dataclass(frozen=True)
class LastError:
    reason: str
    message: str
    at: str


@dataclass
class RefreshState:
    uid: str
    generation: int = 0
    """Of the spec that the token in the Secret was fetched by; 0: there is none."""
    request: str = ""
    """The refresh request that was served last."""
    newer_than: float = 0.0
    """When the last refresh was requested, until it succeeds: a token that was fetched before does not serve it."""
    due_at: float = 0.0
    """When the next try is due."""
    ends_at: float | None = None
    """When the token in the Secret ends; None: there is none."""
    fingerprint: bytes = b""
    """Of the content that was written; empty: not known, after a start."""
    failures: int = 0
    expires_at: str = ""
    refreshed_at: str = ""
    next_refresh: str = ""
    error: LastError | None = None

    def is_due(self, declared: DeclaredToken, now: float) -> bool:
        """A change of the object is worth a try at once, also where the last one failed."""
        return now >= self.due_at or self._is_other(declared)

    def _is_other(self, declared: DeclaredToken) -> bool:
        return (self.generation, self.request) != (declared.generation, declared.request)

    def has_ended(self, now: float) -> bool:
        return self.ends_at is not None and now >= self.ends_at

    def record_success(
        self, declared: DeclaredToken, *, fingerprint: bytes, due_in: float, ends_in: float, now: float, wall: datetime
    ) -> None:
        self.generation, self.request = declared.generation, declared.request
        self.fingerprint, self.failures, self.newer_than = fingerprint, 0, 0.0
        self.due_at, self.ends_at = now + due_in, now + ends_in
        self.refreshed_at, self.next_refresh = shown(wall), shown(wall + timedelta(seconds=due_in))
        self.expires_at = shown(wall + timedelta(seconds=ends_in))

    def record_failure(self, declared: DeclaredToken, error: TokenError, *, now: float, wall: datetime) -> float:
        """Returns the seconds until the next try."""
        if self._is_other(declared):
            self.failures = 0
        self.generation, self.request = declared.generation, declared.request
        self.failures += 1
        delay = retry_delay(self.failures, error.retry_after)
        if error.reason is Reason.BAD_EXPIRY:
            delay = max(delay, 60.0)
        self.due_at = now + delay
        self.next_refresh = shown(wall + timedelta(seconds=delay))
        self.error = LastError(error.reason, error.message, shown(wall))
        return delay


def restored(declared: DeclaredToken, *, now: float, wall: datetime) -> RefreshState:
    """The state from the status, after a start, so that a good token is not fetched once more."""
    state = RefreshState(declared.uid)
    status = declared.status
    expires_at, next_refresh = _time(status.get("expiresAt")), _time(status.get("nextRefresh"))
    if expires_at is None or expires_at <= wall:
        return state
    state.ends_at = now + (expires_at - wall).total_seconds()
    state.expires_at, state.refreshed_at = status["expiresAt"], str(status.get("refreshedAt") or "")
    if next_refresh is not None and wall < next_refresh <= expires_at and _is_refreshing(status):
        state.generation = int(status.get("observedGeneration") or 0)
        state.request = str(status.get("refreshRequest") or "")
        state.due_at = now + (next_refresh - wall).total_seconds()
        state.next_refresh = status["nextRefresh"]
    return state


def _is_refreshing(status: Json) -> bool:
    conditions = status.get("conditions") or []
    return any(each.get("type") == "Refreshing" and each.get("status") == "True" for each in conditions)


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def shown(time: datetime) -> str:
    """RFC 3339 in UTC, as the API has it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
