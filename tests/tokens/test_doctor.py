"""What `sutler doctor` and `sutler registry list` say of tokens and of copies on demand: pure."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sutler.cli.check.checks.mappings import readiness
from sutler.cli.check.checks.tokens import registry_tokens
from sutler.cli.check.cluster_state import UNREAD_LEASES, ClusterState
from sutler.cli.cluster_view import ClusterView
from sutler.cli.pods import parse_pod
from sutler.cli.registry import list_rows
from tests.secrets import objects

Json = dict[str, Any]
NOW = "2026-11-27T12:00:00+00:00"


def token(
    ready: str = "True", refreshing: str = "True", expires_at: str = "2026-11-27T17:12:00Z", **fields: Any
) -> Json:
    conditions = [
        {"type": "Ready", "status": ready, "reason": "CredentialExpired", "message": "It ended."},
        {"type": "Refreshing", "status": refreshing, "reason": "AccessDenied", "message": "The cloud said no."},
    ]
    return {
        "metadata": {"name": "ecr", "creationTimestamp": "2026-11-27T11:00:00Z"},
        "spec": {"secretName": "source"},
        "status": {"conditions": conditions, "expiresAt": expires_at},
        **fields,
    }


def snapshot(*objs: Json, seen: str | None = NOW, mapping: Json | None = None) -> ClusterState:
    """`seen` is when the tokens process last renewed its lease; empty: never; None: the user may not read that."""
    made = ClusterState(ClusterView("sutler-system"), tokens=list(objs), now=datetime.fromisoformat(NOW))
    if seen:
        made.leases["tokens"] = {"spec": {"renewTime": seen, "holderIdentity": "one"}}
    elif seen is None:
        made.unread.append(UNREAD_LEASES)
    for obj in [mapping or objects.mapping("pull")]:
        made.mappings.append(obj)
        made.view.add_mapping(obj)
    return made


CASES: dict[str, tuple[ClusterState, list[str]]] = {
    "all is well": (snapshot(token()), []),
    "no tokens at all": (snapshot(seen=""), []),
    "no good token": (snapshot(token("False")), ["has no good token (CredentialExpired): It ended."]),
    "not refreshed": (snapshot(token(refreshing="False")), ["its token ends in 5h 12min: The cloud said no."]),
    "ended, and no one says so": (
        snapshot(token(expires_at="2026-11-27T11:00:00Z")),
        ["its token ended at 2026-11-27T11:00:00Z"],
    ),
    "no status": (snapshot(token(status={})), ["has no status"]),
    "no status yet": (
        snapshot(token(status={}, metadata={"name": "ecr", "creationTimestamp": "2026-11-27T11:59:30Z"})),
        [],
    ),
    "no process": (snapshot(token(), seen=""), ["does not run"]),
    "a process that was seen long ago": (snapshot(token(), seen="2026-11-27T11:00:00Z"), ["was last seen at"]),
    "a process that can't be read": (snapshot(token(), seen=None), []),
    "no mapping": (snapshot(token(spec={"secretName": "other"})), ["is used by no mapping"]),
}


@pytest.mark.parametrize("name", CASES)
def test_doctor_says_of_tokens(name: str) -> None:
    seen, expected = CASES[name]
    found = [each.as_text() for each in registry_tokens(seen)]
    assert len(found) == len(expected)
    assert all(part in text for part, text in zip(expected, found, strict=True))


def on_demand(*named: str) -> ClusterState:
    obj = objects.mapping("pull")
    obj["spec"]["pullSecret"]["copies"] = "OnDemand"
    seen = snapshot(mapping=obj)
    seen.copies["pull"] = {}
    for namespace in ("team-a", "team-b"):
        seen.view.add_namespace({"metadata": {"name": namespace}})
    for namespace in named:
        spec = {"containers": [{"name": "a", "image": "quay.io/a"}], "imagePullSecrets": [{"name": "pull"}]}
        seen.pods.append(parse_pod({"kind": "Pod", "metadata": {"name": "a", "namespace": namespace}, "spec": spec}))
    return seen


def test_doctor_misses_a_copy_on_demand_only_where_a_pod_names_it() -> None:
    assert list(readiness(on_demand())) == []
    (found,) = readiness(on_demand("team-a"))
    assert "team-a" in found.as_text()
    assert "team-b" not in found.as_text()


def test_list_says_how_long_a_token_is_good() -> None:
    rows = [list_rows.as_json(objects.mapping("pull"), [token()])]
    assert rows[0]["token"] == {"name": "ecr", "expiresAt": "2026-11-27T17:12:00Z"}
    assert "source (token, 5h 12min)" in list_rows.as_text(rows, datetime(2026, 11, 27, 12, tzinfo=UTC))
    assert list_rows.as_json(objects.mapping("pull"), [token(spec={"secretName": "other"})])["token"] is None
