"""The output of `sutler registry list`. Pure: no I/O."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sutler.cli.output import columns
from sutler.cli.registry.selectors import render_selector
from sutler.cli.token.render import ends_in
from sutler.registry.mapping import ready_condition
from sutler.typedefs import Json

HEADINGS = ("NAME", "REGISTRIES", "PULL SECRET", "SOURCE", "NAMESPACES", "MODE", "READY", "SYNCED")
_MAX_NAMES = 10
"""Mappings that an error names."""


def as_json(mapping: Json, tokens: Iterable[Json] = ()) -> Json:
    """Render a mapping. One of `tokens`, which are RegistryTokens, may keep its source."""
    spec, status, condition = mapping["spec"], mapping.get("status") or {}, ready_condition(mapping)
    source = (spec.get("pullSecret") or {}).get("copyFrom")
    token = next((each for each in tokens if source and each["spec"].get("secretName") == source), None)
    return {
        "name": mapping["metadata"]["name"],
        "registries": spec.get("registries") or [],
        "pullSecret": (spec.get("pullSecret") or {}).get("name"),
        "copyFrom": source,
        "token": token
        and {
            "name": token["metadata"]["name"],
            "expiresAt": (token.get("status") or {}).get("expiresAt"),
        },
        "namespaceSelector": spec.get("namespaceSelector"),
        "mode": spec.get("mode", "Inject"),
        "ready": condition.get("status", "Unknown"),
        "reason": condition.get("reason"),
        "message": condition.get("message"),
        "namespaces": status.get("namespaces") or {},
    }


def as_text(rows: Sequence[Json], now: datetime | None = None) -> str:
    if not rows:
        return "No registries yet. Add one: sutler registry add SERVER --username NAME --password-stdin"
    return columns(HEADINGS, [_row(row, now or datetime.now(UTC)) for row in rows])


def _row(row: Json, now: datetime) -> list[str]:
    counts = row["namespaces"]
    synced = f"{counts.get('synced', '-')}/{counts['selected']}" if "selected" in counts else "-"
    state = row["ready"] if row["ready"] == "True" or not row["reason"] else f"{row['ready']} ({row['reason']})"
    selector = render_selector(row["namespaceSelector"] or {})
    registries = ",".join(row["registries"])
    return [
        row["name"],
        registries,
        row["pullSecret"] or "-",
        _source(row, now),
        selector,
        row["mode"],
        state,
        synced,
    ]


def _source(row: Json, now: datetime) -> str:
    token = row.get("token")
    name = row["copyFrom"] or "-"
    return f"{name} (token, {ends_in(token['expiresAt'], now)})" if token else name


def no_such_mapping(unknown: Iterable[str], known: Iterable[str]) -> str:
    """The text of an error that names the unknown mappings and those that exist."""
    have = sorted(known)
    missing = f"there is no mapping {', '.join(unknown)}"
    if not have:
        return f"{missing}; no mappings exist"
    more = f" and {len(have) - _MAX_NAMES} more (sutler registry list)" if len(have) > _MAX_NAMES else ""
    return f"{missing}; existing mappings: {', '.join(have[:_MAX_NAMES])}{more}"
