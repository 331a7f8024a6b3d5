"""Tokens as rows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provisioner.tokens.planning.sources import PROVIDERS
from sutler.cli.output import columns

Json = dict[str, Any]

HEADINGS = ("NAME", "FROM", "REGISTRIES", "SECRET", "AS", "READY", "REFRESHING", "ENDS IN")
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60))


def condition(token: Mapping[str, Any], kind: str) -> Json:
    """The text is empty where the tokens process has not handled the token yet."""
    conditions = (token.get("status") or {}).get("conditions") or []
    found: Json = next((each for each in conditions if each.get("type") == kind), {})
    return found


def as_json(token: Json) -> Json:
    spec, status = token["spec"], token.get("status") or {}
    ready, refreshing = condition(token, "Ready"), condition(token, "Refreshing")
    return {
        "name": token["metadata"]["name"],
        "provider": next((name for name in PROVIDERS.values() if name in spec), None),
        "registries": spec.get("registries") or [],
        "secret": spec.get("secretName"),
        "identity": status.get("identity"),
        "ready": ready.get("status", "Unknown"),
        "reason": ready.get("reason"),
        "message": ready.get("message"),
        "refreshing": refreshing.get("status", "Unknown"),
        "refreshingReason": refreshing.get("reason"),
        "refreshingMessage": refreshing.get("message"),
        "expiresAt": status.get("expiresAt"),
        "refreshedAt": status.get("refreshedAt"),
        "nextRefresh": status.get("nextRefresh"),
    }


def as_text(rows: Sequence[Json], now: datetime) -> str:
    if not rows:
        return "No tokens yet. Add one: sutler registry add SERVER --ecr --identity account:NAME --role ARN"
    table = columns(HEADINGS, [_row(row, now) for row in rows])
    troubles = {f"{row['name']}: {row['refreshingMessage'] or row['message']}" for row in rows if _is_troubled(row)}
    return "\n".join([table, *sorted(troubles)])


def ends_in(expires_at: str | None, now: datetime) -> str:
    """How long a token is good yet, in its two largest units."""
    try:
        seconds = int((datetime.fromisoformat(expires_at or "") - now).total_seconds())
    except (ValueError, TypeError):
        return "-"
    if seconds <= 0:
        return "ended"
    parts = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or f"{seconds}s"


@dataclass(frozen=True)
class RefreshOutcome:
    name: str
    refreshed: bool
    message: str

    def as_json(self) -> Json:
        return {"name": self.name, "refreshed": self.refreshed, "message": self.message}

    def as_text(self) -> str:
        return f"{self.name}: {self.message}"


def _is_troubled(row: Json) -> bool:
    return "False" in (row["ready"], row["refreshing"])


def _row(row: Json, now: datetime) -> list[str]:
    return [
        row["name"],
        row["provider"] or "-",
        ",".join(row["registries"]),
        row["secret"] or "-",
        row["identity"] or "-",
        _state(row["ready"], row["reason"]),
        _state(row["refreshing"], row["refreshingReason"]),
        ends_in(row["expiresAt"], now),
    ]


def _state(status: str, reason: str | None) -> str:
    return status if status == "True" or not reason else f"{status} ({reason})"
