"""The schema of RegistryMapping, on a real API server: what it takes, what it refuses, what it tells."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster import ClusterError, ControlPlane
from tests.conftest import REPOSITORY

Json = dict[str, Any]

pytestmark = pytest.mark.usefixtures("crds")


def mapping(**spec: Any) -> Json:
    return {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": f"test-{secrets.token_hex(4)}"},
        "spec": {
            "registries": ["registry.cn-hangzhou.aliyuncs.com/xxxx"],
            "pullSecret": {"name": "aliyun-hangzhou"},
            "namespaceSelector": {},
            **spec,
        },
    }


def expressions(*requirements: Json) -> Json:
    return {"namespaceSelector": {"matchExpressions": list(requirements)}}


VALID: dict[str, Json] = {
    "as in the design": {"pullSecret": {"name": "a", "copyFrom": "b", "copies": "Eager"}, "mode": "Inject"},
    "a port": {"registries": ["localhost:5000"]},
    "globs in the host": {"registries": ["*.dkr.ecr.*.amazonaws.com", "1?.example.com", "[a-c].example.com"]},
    "an IPv6 address": {"registries": ["[fd00::1]:5000/team"]},
    "a deep path": {"registries": ["quay.io/acme/team_1/app-2.x"]},
    "Docker Hub": {"registries": ["docker.io", "docker.io/library", "docker.io/acme"]},
    "labels": {"namespaceSelector": {"matchLabels": {"team": "a", "example.com/tier": "b"}}},
    "expressions": expressions(
        {"key": "team", "operator": "In", "values": ["a", "b"]},
        {"key": "team", "operator": "NotIn", "values": ["c"]},
        {"key": "team", "operator": "Exists"},
        {"key": "gone", "operator": "DoesNotExist", "values": []},
    ),
    "observing": {"mode": "Observe"},
    "copies on demand": {"pullSecret": {"name": "a", "copyFrom": "b", "copies": "OnDemand"}},
    "labels for copies": {
        "pullSecret": {"name": "a", "copies": "Eager", "labels": {"team": "a"}, "annotations": {"example.com/x": "y z"}}
    },
}

INVALID: dict[str, tuple[Json, str]] = {
    "no registries": ({"registries": []}, "spec.registries"),
    "registries twice": ({"registries": ["quay.io", "quay.io"]}, "spec.registries"),
    "registries null": ({"registries": None}, "spec.registries"),
    "an empty registry": ({"registries": [""]}, "spec.registries"),
    "a scheme": ({"registries": ["https://quay.io"]}, "spec.registries"),
    "a space": ({"registries": ["quay.io /acme"]}, "spec.registries"),
    "a tag": ({"registries": ["quay.io/acme/app:latest"]}, "spec.registries"),
    "a digest": ({"registries": ["quay.io/acme/app@sha256:00"]}, "spec.registries"),
    "a user": ({"registries": ["user@quay.io"]}, "spec.registries"),
    "a trailing slash": ({"registries": ["quay.io/acme/"]}, "spec.registries"),
    "an endless registry": ({"registries": ["a" * 513]}, "spec.registries"),
    "no pull secret": ({"pullSecret": None}, "spec.pullSecret"),
    "no name": ({"pullSecret": {}}, "spec.pullSecret.name"),
    "an upper-case name": ({"pullSecret": {"name": "Aliyun"}}, "spec.pullSecret.name"),
    "a name with a slash": ({"pullSecret": {"name": "other/secret"}}, "spec.pullSecret.name"),
    "a source in another namespace": ({"pullSecret": {"name": "a", "copyFrom": "ns/b"}}, "spec.pullSecret.copyFrom"),
    "no selector": ({"namespaceSelector": None}, "spec.namespaceSelector"),
    "a label that is no text": ({"namespaceSelector": {"matchLabels": {"a": 1}}}, "matchLabels"),
    "an unknown operator": (expressions({"key": "a", "operator": "Equals", "values": ["b"]}), "operator"),
    "In without values": (expressions({"key": "a", "operator": "In"}), "matchExpressions"),
    "In with no values": (expressions({"key": "a", "operator": "In", "values": []}), "matchExpressions"),
    "Exists with values": (expressions({"key": "a", "operator": "Exists", "values": ["b"]}), "matchExpressions"),
    "an unknown way of copying": ({"pullSecret": {"name": "a", "copies": "Lazy"}}, "spec.pullSecret.copies"),
    "a label that is a number": ({"pullSecret": {"name": "a", "labels": {"a": 1}}}, "spec.pullSecret.labels"),
    "an unknown mode": ({"mode": "Enforce"}, "spec.mode"),
}


def create(control_plane: ControlPlane, body: Json, *flags: str) -> Json:
    made: Json = control_plane.kubectl_json("create", "-f", "-", "--validate=false", *flags, input=json.dumps(body))
    return made


@pytest.mark.parametrize("case", VALID)
def test_mapping_is_accepted_with(control_plane: ControlPlane, case: str) -> None:
    made = create(control_plane, mapping(**VALID[case]), "--dry-run=server")
    assert {key: made["spec"][key] for key in VALID[case]} == VALID[case]


@pytest.mark.parametrize("case", INVALID)
def test_mapping_is_rejected_with(control_plane: ControlPlane, case: str) -> None:
    spec, field = INVALID[case]
    body = mapping(**spec)
    body["spec"] = {key: value for key, value in body["spec"].items() if value is not None}
    with pytest.raises(ClusterError, match="is invalid") as refused:
        create(control_plane, body, "--dry-run=server")
    assert field in str(refused.value)


def test_mapping_without_spec_is_rejected(control_plane: ControlPlane) -> None:
    body = mapping()
    del body["spec"]
    with pytest.raises(ClusterError, match="spec: Required value"):
        create(control_plane, body, "--dry-run=server")


def test_name_must_fit_into_a_label(control_plane: ControlPlane) -> None:
    body = mapping()
    body["metadata"]["name"] = "a" * 64
    with pytest.raises(ClusterError, match=r"metadata\.name"):
        create(control_plane, body, "--dry-run=server")


def test_mode_is_inject_by_default(control_plane: ControlPlane) -> None:
    assert create(control_plane, mapping(), "--dry-run=server")["spec"]["mode"] == "Inject"


@pytest.fixture
def stored(control_plane: ControlPlane) -> Iterator[str]:
    name: str = create(control_plane, mapping())["metadata"]["name"]
    yield name
    control_plane.kubectl("delete", "registrymapping", name)


def test_status_is_a_subresource(control_plane: ControlPlane, stored: str) -> None:
    before = control_plane.kubectl_json("get", "regmap", stored)
    changed = {**before, "status": {"observedGeneration": 9}}
    control_plane.kubectl("replace", "-f", "-", input=json.dumps(changed))
    after = control_plane.kubectl_json("get", "regmap", stored)
    assert "status" not in after
    assert after["metadata"]["generation"] == before["metadata"]["generation"] == 1


def test_columns_show_the_state_of_a_mapping(control_plane: ControlPlane, stored: str) -> None:
    condition = {"type": "Ready", "status": "True", "reason": "Synced", "message": "All of them."}
    status = {
        "observedGeneration": 1,
        "conditions": [condition | {"lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "namespaces": {"selected": 12, "synced": 11},
    }
    found = control_plane.kubectl_json("get", "regmap", stored)
    path = f"/apis/sutler.dev/v1alpha1/registrymappings/{stored}/status"
    control_plane.kubectl("replace", "--raw", path, "-f", "-", input=json.dumps({**found, "status": status}))

    head, row = control_plane.kubectl("get", "regmap", stored).splitlines()
    assert head.split() == ["NAME", "SECRET", "READY", "REASON", "SYNCED", "SELECTED", "AGE", "REGISTRIES"]
    cells = row.split()
    assert cells[:6] == [stored, "aliyun-hangzhou", "True", "Synced", "11", "12"]
    # A long list widens no other column when it is the last.
    assert cells[7] == '["registry.cn-hangzhou.aliyuncs.com/xxxx"]'
    assert "All of them." in control_plane.kubectl("get", "regmap", stored, "-o", "wide")


def test_every_field_has_a_description(control_plane: ControlPlane) -> None:
    crd = yaml.safe_load((REPOSITORY / "manifests/crds/registrymappings.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert list(undescribed(schema, "registrymapping")) == []
    explained = control_plane.kubectl("explain", "registrymapping.spec.pullSecret.copyFrom")
    assert "copies it into every selected namespace" in " ".join(explained.split())


def undescribed(schema: Json, path: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        if name == "metadata":
            continue  # Kubernetes describes it
        if not field.get("description"):
            yield where
        yield from undescribed(field.get("items", field), where)
