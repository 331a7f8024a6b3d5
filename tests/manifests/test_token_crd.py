"""The schema of RegistryToken: what it takes, what it refuses, what it shows."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.cluster import ClusterError, ControlPlane
from tests.conftest import REPOSITORY
from tests.manifests.test_crd import undescribed
from tests.tokens.test_providers import CASES

Json = dict[str, Any]

DEFINITION = yaml.safe_load((REPOSITORY / "manifests/crds/registrytokens.yaml").read_text())
SCHEMA = DEFINITION["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
NODE = {"identity": {"process": "MetadataServer"}}
SECRET = {"identity": {"secretName": "key"}}
VALID: dict[str, Json] = {
    **{name: {"registries": [case.registry], case.source: case.block} for name, case in CASES.items()},
    "a plug-in": {"exec": {"plugin": "ecr-credential-provider"}},
    "a plug-in with an account": {
        "exec": {"plugin": "x", "audience": "a", "identity": {"serviceAccountName": "puller"}, "image": "a.b/c"}
    },
    "a VPC endpoint": {
        "ecr": {**NODE, "fips": True, "endpoint": "https://vpce-1-a.api.ecr.eu-west-1.vpce.amazonaws.com"}
    },
    "a path": {"registries": ["europe-docker.pkg.dev/project/repository"], "artifactRegistry": NODE},
}
INVALID: dict[str, tuple[Json, str]] = {
    "no source": ({}, "spec"),
    "two sources": ({"ecr": NODE, "acr": NODE}, "spec"),
    "no registries": ({"registries": [], "ecr": NODE}, "spec.registries"),
    "a scheme": ({"registries": ["https://a.azurecr.io"], "acr": NODE}, "spec.registries"),
    "no Secret": ({"secretName": None, "ecr": NODE}, "spec.secretName"),
    "a Secret elsewhere": ({"secretName": "a/b", "ecr": NODE}, "spec.secretName"),
    "no identity": ({"ecr": {}}, "spec.ecr.identity"),
    "an empty identity": ({"ecr": {"identity": {}}}, "spec.ecr.identity"),
    "two identities": ({"acr": {"identity": {"secretName": "a", "process": "WebIdentity"}}}, "spec.acr.identity"),
    "an unknown process": ({"ecr": {"identity": {"process": "Node"}}}, "spec.ecr.identity.process"),
    "EKS's identity elsewhere": ({"acr": {"identity": {"process": "PodIdentity"}}}, "spec.acr.identity.process"),
    "a Secret of another namespace": ({"ecr": {"identity": {"secretName": "a/b"}}}, "spec.ecr.identity.secretName"),
    "a role that is none": ({"ecr": {**NODE, "roleARN": "puller"}}, "spec.ecr.roleARN"),
    "an endpoint elsewhere": ({"ecr": {**NODE, "endpoint": "https://evil.com"}}, "spec.ecr.endpoint"),
    "an audience elsewhere": ({"artifactRegistry": {**NODE, "audience": "evil"}}, "spec.artifactRegistry.audience"),
    "a path to a plug-in": ({"exec": {"plugin": "../sh"}}, "spec.exec.plugin"),
    "a contract of tomorrow": ({"exec": {"plugin": "x", "apiVersion": "v9"}}, "spec.exec.apiVersion"),
}


def token(**spec: Any) -> Json:
    given = {"secretName": "pull", "registries": ["123456789012.dkr.ecr.eu-west-1.amazonaws.com"], **spec}
    return {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryToken",
        "metadata": {"name": f"test-{secrets.token_hex(4)}"},
        "spec": {key: value for key, value in given.items() if value is not None},
    }


def pruned(value: Any, schema: Json) -> Any:
    """Without the fields that are in no schema, as the API server does it before it validates."""
    if isinstance(value, dict) and "properties" in schema:
        return {
            key: pruned(each, schema["properties"][key]) for key, each in value.items() if key in schema["properties"]
        }
    return value


def refused_fields(obj: Json) -> list[str]:
    return [".".join(map(str, error.instance_path)) for error in jsonschema_rs.validator_for(SCHEMA).iter_errors(obj)]


@pytest.mark.parametrize("case", VALID)
def test_schema_takes_what_the_process_can_use(case: str) -> None:
    assert refused_fields(token(**VALID[case])) == []


@pytest.mark.parametrize("case", INVALID)
def test_schema_refuses_what_can_never_be_right(case: str) -> None:
    spec, field = INVALID[case]
    found = refused_fields(token(**spec))
    assert [each for each in found if field.startswith(each) or each.startswith(field)], found


def test_misspelt_identity_does_not_become_another() -> None:
    obj = token(ecr={"identity": {"proces": "MetadataServer"}})
    assert refused_fields({**obj, "spec": pruned(obj["spec"], SCHEMA["properties"]["spec"])}) == ["spec.ecr.identity"]


def test_every_field_is_described() -> None:
    assert list(undescribed(SCHEMA, "registrytoken")) == []


def create(control_plane: ControlPlane, body: Json, *flags: str) -> Json:
    made: Json = control_plane.kubectl_json("create", "-f", "-", "--validate=false", *flags, input=json.dumps(body))
    return made


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("case", VALID)
def test_token_is_taken_with(control_plane: ControlPlane, case: str) -> None:
    made = create(control_plane, token(**VALID[case]), "--dry-run=server")
    for key, value in VALID[case].items():
        assert made["spec"][key] == (
            value if key != "exec" else {"apiVersion": made["spec"][key]["apiVersion"], **value}
        )


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("case", INVALID)
def test_token_is_refused_with(control_plane: ControlPlane, case: str) -> None:
    spec, field = INVALID[case]
    with pytest.raises(ClusterError, match="is invalid") as refused:
        create(control_plane, token(**spec), "--dry-run=server")
    assert field in str(refused.value)


@pytest.fixture
def stored(control_plane: ControlPlane, crds: None) -> Iterator[str]:  # noqa: ARG001 - the CRDs come first
    name: str = create(control_plane, token(ecr=NODE))["metadata"]["name"]
    yield name
    control_plane.kubectl("delete", "registrytoken", name)


def test_token_columns_show_how_long_it_is_good(control_plane: ControlPlane, stored: str) -> None:
    at = "2026-01-01T00:00:00Z"
    condition = {"status": "True", "reason": "Refreshed", "message": "Good.", "lastTransitionTime": at}
    status = {
        "conditions": [{"type": "Ready", **condition}, {"type": "Refreshing", **condition}],
        "refreshedAt": at,
        "expiresAt": "2036-01-01T12:00:00Z",
        "identity": "arn",
    }
    found = control_plane.kubectl_json("get", "regtoken", stored)
    path = f"/apis/sutler.dev/v1alpha1/registrytokens/{stored}/status"
    control_plane.kubectl("replace", "--raw", path, "-f", "-", input=json.dumps({**found, "status": status}))
    head, row = control_plane.kubectl("get", "regtoken", stored).splitlines()
    assert head.split() == ["NAME", "SECRET", "READY", "REASON", "REFRESHING", "REFRESHED", "AGE", "EXPIRES"]
    assert row.split()[:5] == [stored, "pull", "True", "Refreshed", "True"]
    assert row.split()[-1] == "2036-01-01T12:00:00Z"
