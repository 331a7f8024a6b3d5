"""What each account may do and, more so, what it may not: asked of the API server's own authorizer."""

import re
from typing import Any

import pytest
import yaml

from tests.cluster import ControlPlane
from tests.conftest import REPOSITORY

Json = dict[str, Any]

OWN = "sutler-system"
CERTIFICATE = "secrets/sutler-webhook-certificate"
BASE = REPOSITORY / "manifests" / "base"
COMPONENTS = REPOSITORY / "manifests" / "components"
FILES = [
    *(BASE / f"{name}.yaml" for name in ("namespace", "webhook-rbac", "secrets-rbac", "volumes-rbac", "api-rbac")),
    COMPONENTS / "tokens" / "rbac.yaml",
]
TOKEN = REPOSITORY / "manifests" / "examples" / "registrytoken.yaml"

MAY = {
    "webhook": [
        "list registrymappings.sutler.dev",
        "watch registrymappings.sutler.dev",
        "list namespaces",
        "watch namespaces",
        "list serviceaccounts",
        f"get {CERTIFICATE} in {OWN}",
        f"update {CERTIFICATE} in {OWN}",
        "get mutatingwebhookconfigurations.admissionregistration.k8s.io/sutler-webhook",
        "patch mutatingwebhookconfigurations.admissionregistration.k8s.io/sutler-webhook",
    ],
    "secrets": [
        "watch registrymappings.sutler.dev",
        "patch registrymappings.sutler.dev#status",
        "create secrets in team-a",
        "patch secrets in team-a",
        "delete secrets in team-a",
        "watch secrets",
        "create events in default",
        f"update leases.coordination.k8s.io/sutler-secrets in {OWN}",
    ],
    "volumes": [
        "get persistentvolumeclaims in team-a",
        "create persistentvolumes",
        "delete persistentvolumes",
        "create events in team-a",
        "patch persistentvolumeclaims in team-a",
        "patch volumesnapshots.snapshot.storage.k8s.io in team-a",
        "patch volumesnapshotcontents.snapshot.storage.k8s.io#status",
        "get volumeattributesclasses.storage.k8s.io",
        f"update leases.coordination.k8s.io/sutler-volumes in {OWN}",
    ],
    "api": [
        "create tokenreviews.authentication.k8s.io",
        "create subjectaccessreviews.authorization.k8s.io",
        "list registrymappings.sutler.dev",
        f"update secrets/sutler-api-certificate in {OWN}",
        f"get leases.coordination.k8s.io/sutler-volumes in {OWN}",
    ],
    "tokens": [
        "list registrytokens.sutler.dev",
        "watch registrytokens.sutler.dev",
        "patch registrytokens.sutler.dev#status",
        "create events in default",
        f"update leases.coordination.k8s.io/sutler-tokens in {OWN}",
    ],
}

MAY_NOT = {
    "webhook": [
        f"list secrets in {OWN}",
        f"get secrets/aliyun-credentials in {OWN}",
        "get secrets in team-a",
        # A user who may create Secrets can make a token of any account.
        f"create secrets in {OWN}",
        f"delete {CERTIFICATE} in {OWN}",
        "patch mutatingwebhookconfigurations.admissionregistration.k8s.io/another",
        "delete mutatingwebhookconfigurations.admissionregistration.k8s.io/sutler-webhook",
        "patch registrymappings.sutler.dev",
        "create pods in team-a",
        "list pods",
    ],
    "secrets": [
        "patch registrymappings.sutler.dev",
        "delete registrymappings.sutler.dev",
        "deletecollection secrets in team-a",
        "update namespaces",
        "list pods",
        "create serviceaccounts#token in sutler-system",
        "get mutatingwebhookconfigurations.admissionregistration.k8s.io/sutler-webhook",
        "create events in team-a",
        "patch persistentvolumeclaims in team-a",
        "patch volumesnapshots.snapshot.storage.k8s.io in team-a",
        "patch volumesnapshotcontents.snapshot.storage.k8s.io#status",
        f"update leases.coordination.k8s.io/sutler-volumes in {OWN}",
    ],
    "volumes": [
        f"get secrets in {OWN}",
        "list secrets",
        "update persistentvolumeclaims in team-a",
        "delete persistentvolumeclaims in team-a",
        "delete volumesnapshots.snapshot.storage.k8s.io in team-a",
        "create volumesnapshotcontents.snapshot.storage.k8s.io",
        "delete volumesnapshotcontents.snapshot.storage.k8s.io",
        "patch storageclasses.storage.k8s.io",
        "list volumeattributesclasses.storage.k8s.io",
        "list registrymappings.sutler.dev",
        "get namespaces/team-a",
        f"update leases.coordination.k8s.io/sutler-secrets in {OWN}",
    ],
    "api": [
        f"get {CERTIFICATE} in {OWN}",
        f"list secrets in {OWN}",
        f"create secrets in {OWN}",
        "get secrets in team-a",
        "list persistentvolumes",
        "patch registrymappings.sutler.dev",
        # That what its callers may is asked of Kubernetes does not mean that it may itself.
        "create images.sutler.dev",
        "delete pools.sutler.dev",
        f"update leases.coordination.k8s.io/sutler-volumes in {OWN}",
    ],
    "tokens": [
        # What a RegistryToken needs, its own Role gives.
        f"get secrets/ecr in {OWN}",
        f"patch secrets/ecr in {OWN}",
        f"list secrets in {OWN}",
        f"create secrets in {OWN}",
        f"get {CERTIFICATE} in {OWN}",
        "get secrets in team-a",
        f"create serviceaccounts/ecr-puller#token in {OWN}",
        f"create serviceaccounts/sutler-secrets#token in {OWN}",
        "patch registrytokens.sutler.dev",
        "create registrytokens.sutler.dev",
        "list registrymappings.sutler.dev",
        "list pods",
        "list namespaces",
        f"update leases.coordination.k8s.io/sutler-secrets in {OWN}",
    ],
}
TOKEN_MAY = [
    f"get secrets/ecr in {OWN}",
    f"patch secrets/ecr in {OWN}",
    f"create serviceaccounts/ecr-puller#token in {OWN}",
]
"""With the Role that the example brings."""
TOKEN_MAY_NOT = [
    f"delete secrets/ecr in {OWN}",
    f"update secrets/ecr in {OWN}",
    f"get secrets/other in {OWN}",
    f"list secrets in {OWN}",
    f"create secrets in {OWN}",
    "get secrets/ecr in team-a",
    f"create serviceaccounts/sutler-secrets#token in {OWN}",
    "create serviceaccounts/ecr-puller#token in team-a",
]


@pytest.fixture(scope="module")
def rights(control_plane: ControlPlane) -> ControlPlane:
    for file in FILES:
        control_plane.kubectl("apply", "-f", str(file))
    return control_plane


def asked(account: str, what: str) -> Json:
    """`VERB RESOURCE[.GROUP][/NAME][#SUBRESOURCE] [in NAMESPACE]`; without a namespace, all of them or none."""
    words = re.fullmatch(r"(\w+) (\w+)(?:\.([\w.]+))?(?:/([\w-]+))?(?:#(\w+))?(?: in ([\w-]+))?", what)
    assert words is not None, what
    fields = ("verb", "resource", "group", "name", "subresource", "namespace")
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{OWN}:sutler-{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{OWN}", "system:authenticated"],
            "resourceAttributes": {field: word for field, word in zip(fields, words.groups(), strict=True) if word},
        },
    }


def allowed(control_plane: ControlPlane, account: str, whats: list[str]) -> list[str]:
    reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    answers = [control_plane.request("POST", reviews, asked(account, what)) for what in whats]
    return [what for what, answer in zip(whats, answers, strict=True) if answer["status"]["allowed"]]


@pytest.mark.parametrize("account", MAY)
def test_account_has_the_permissions_it_needs(rights: ControlPlane, account: str) -> None:
    assert allowed(rights, account, MAY[account]) == MAY[account]


@pytest.mark.parametrize("account", MAY_NOT)
def test_account_has_no_other_permission(rights: ControlPlane, account: str) -> None:
    assert allowed(rights, account, MAY_NOT[account]) == []


PODS = ["list pods", "watch pods"]
PODS_NOT = ["get pods in team-a", "create pods in team-a", "patch pods in team-a", "delete pods in team-a"]


def test_copies_on_demand_need_to_see_pods_and_nothing_more(rights: ControlPlane) -> None:
    role = str(COMPONENTS / "copies-on-demand" / "rbac.yaml")
    rights.kubectl("apply", "-f", role)
    try:
        assert allowed(rights, "secrets", PODS) == PODS
        assert allowed(rights, "secrets", PODS_NOT) == []
        assert allowed(rights, "webhook", [*PODS, *PODS_NOT]) == []
    finally:
        rights.kubectl("delete", "-f", role)


def test_role_of_a_token_is_for_its_names_alone(rights: ControlPlane) -> None:
    role = [one for one in yaml.safe_load_all(TOKEN.read_text()) if one["kind"] in {"Role", "RoleBinding"}]
    rights.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(role))
    try:
        assert allowed(rights, "tokens", TOKEN_MAY) == TOKEN_MAY
        assert allowed(rights, "tokens", TOKEN_MAY_NOT) == []
    finally:
        rights.kubectl("delete", "-f", "-", input=yaml.safe_dump_all(role))


def test_no_rule_has_a_wildcard_or_grants_permissions() -> None:
    roles = [one for file in FILES for one in yaml.safe_load_all(file.read_text()) if "rules" in one]
    assert len(roles) >= 6
    for rule in (rule for role in roles for rule in role["rules"]):
        words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not words & {"*", "escalate", "bind", "impersonate", "deletecollection"}, rule
