"""What a RegistryToken may say, and how each mistake is answered."""

from typing import Any

import pytest

from provisioner.tokens.planning.registry_token import Policy, RegistryTokenError, parse_registry_token
from provisioner.tokens.planning.sources import AcrSource, AliyunSource, EcrSource, ExecSource
from tests.tokens.fakes import aliyun, azure, google
from tests.tokens.fakes.hosts import HOSTS

Json = dict[str, Any]

ECR = HOSTS["ecr"]
ROLE = "arn:aws:iam::123456789012:role/puller"
SECRET = {"identity": {"secretName": "key"}}
NODE = {"identity": {"process": "MetadataServer"}}
ACCOUNT = {"identity": {"serviceAccountName": "puller"}}


def token(registries: list[str] | None = None, name: str = "test", **spec: Any) -> Json:
    return {"metadata": {"name": name}, "spec": {"secretName": "pull", "registries": registries or [ECR], **spec}}


def problems(obj: Json, policy: Policy | None = None) -> str:
    with pytest.raises(RegistryTokenError) as raised:
        parse_registry_token(obj, policy or Policy())
    return str(raised.value)


WRONG: dict[str, tuple[Json, str]] = {
    "no source": (token(), "exactly one of ecr, ecrPublic, artifactRegistry, acr, aliyun, exec; it has none"),
    "two sources": (token(ecr=NODE, acr=NODE), "it has ecr and acr"),
    "no identity": (token(ecr={}), "spec.ecr.identity is missing: name the identity that Sutler uses"),
    "an empty identity": (token(ecr={"identity": {}}), "it has none of them"),
    "two identities": (
        token(ecr={"identity": {"secretName": "a", "serviceAccountName": "b"}, "roleARN": ROLE}),
        "it has secretName and serviceAccountName",
    ),
    "an identity of no cloud's": (token(ecr={"identity": {"process": "Node"}}), "WebIdentity or PodIdentity"),
    "a Secret of another namespace": (
        token(ecr={"identity": {"secretName": "kube-system/key"}}),
        "in Sutler's namespace",
    ),
    "an account of another namespace": (
        token(ecr={"identity": {"serviceAccountName": "../default/x"}, "roleARN": ROLE}),
        "in Sutler's namespace",
    ),
    "a ServiceAccount without a role": (token(ecr=ACCOUNT), "spec.ecr.roleARN is missing"),
    "a role that is none": (token(ecr={**NODE, "roleARN": "puller"}), "spec.ecr.roleARN is 'puller'"),
    "a foreign host": (token([f"{ECR}.evil.com"], ecr=NODE), "is not a host of ECR"),
    "a host of another cloud": (token(["acme.azurecr.io"], ecr=NODE), "--other-registries"),
    "two regions": (
        token([ECR, ECR.replace("eu-west", "us-east")], ecr=NODE),
        "several regions (eu-west-1, us-east-1)",
    ),
    "another region": (token(ecr={**NODE, "region": "us-east-1"}), "spec.ecr.region and spec.registries name several"),
    "no region": (token(["*.dkr.ecr.*.amazonaws.com"], ecr=NODE), "spec.ecr.region is missing"),
    "two partitions": (
        token([ECR, ECR.replace("amazonaws.com", "amazonaws.com.cn")], ecr=NODE),
        "several AWS partitions",
    ),
    "an endpoint elsewhere": (token(ecr={**NODE, "endpoint": "https://evil.com"}), "VPC endpoint"),
    "an endpoint without TLS": (
        token(ecr={**NODE, "endpoint": "http://vpce-1-a.api.ecr.eu-west-1.vpce.amazonaws.com"}),
        "VPC endpoint",
    ),
    "an endpoint with a user": (
        token(ecr={**NODE, "endpoint": "https://x@vpce-1-a.api.ecr.eu-west-1.vpce.amazonaws.com"}),
        "VPC endpoint",
    ),
    "a JSON key": (token(["gcr.io"], artifactRegistry=SECRET), "put it into an ordinary pull secret"),
    "federation without an audience": (token(["gcr.io"], artifactRegistry=ACCOUNT), "audience is missing"),
    "an audience for the metadata server": (
        token(["gcr.io"], artifactRegistry={**NODE, "audience": google.AUDIENCE}),
        "spec.artifactRegistry.audience has no effect with the metadata server",
    ),
    "an audience elsewhere": (
        token(["gcr.io"], artifactRegistry={**ACCOUNT, "audience": "https://evil.com"}),
        "spec.artifactRegistry.audience is 'https://evil.com'",
    ),
    "an address that is no account's": (
        token(["gcr.io"], artifactRegistry={**NODE, "serviceAccountEmail": "me@gmail.com/../x"}),
        "iam.gserviceaccount.com",
    ),
    "an application without a tenant": (token(["a.azurecr.io"], acr=SECRET), "spec.acr.tenantID is missing"),
    "two Azure clouds": (token(["a.azurecr.io", "a.azurecr.cn"], acr=NODE), "several Azure clouds"),
    "a tenant that is a path": (
        token(["a.azurecr.io"], acr={**SECRET, "tenantID": "../x", "clientID": azure.CLIENT}),
        "spec.acr.tenantID is '../x'",
    ),
    "two editions": (token([HOSTS["aliyun"], HOSTS["enterprise"]], aliyun=SECRET), "several instances or editions"),
    "RRSA without a provider": (
        token([HOSTS["aliyun"]], aliyun={**ACCOUNT, "roleARN": aliyun.ROLE}),
        "spec.aliyun.oidcProviderARN is missing",
    ),
    "a role for a static key": (
        token([HOSTS["aliyun"]], aliyun={**SECRET, "roleARN": aliyun.ROLE}),
        "spec.aliyun.roleARN has no effect",
    ),
    "EKS's identity elsewhere": (
        token([HOSTS["aliyun"]], aliyun={"identity": {"process": "PodIdentity"}}),
        "spec.aliyun.identity.process can't be used here",
    ),
    "no plug-in": (token(exec={}), "spec.exec.plugin is missing"),
    "a path to a plug-in": (token(exec={"plugin": "../bin/sh"}), "spec.exec.plugin is '../bin/sh'"),
    "a plug-in that is a folder": (token(exec={"plugin": ".."}), "spec.exec.plugin is '..'"),
    "a plug-in with a space": (token(exec={"plugin": "sh -c"}), "spec.exec.plugin"),
    "a contract of tomorrow": (token(exec={"plugin": "x", "apiVersion": "v9"}), "spec.exec.apiVersion"),
    "an old contract with an account": (
        token(
            exec={"plugin": "x", "apiVersion": "credentialprovider.kubelet.k8s.io/v1beta1", "audience": "a", **ACCOUNT}
        ),
        "to pass a ServiceAccount's token",
    ),
    "a plug-in asked about a glob": (token(["*.example.com"], exec={"plugin": "x"}), "spec.exec.image is missing"),
    "a name that is too long": (token(name="a" * 64, ecr=NODE), "metadata.name has 64 characters"),
    "a Secret with a slash": (token(secretName="other/pull", ecr=NODE), "spec.secretName"),
    "a scheme": (token([f"https://{ECR}"], ecr=NODE), "spec.registries[0]: registry 'https://"),
    "too many registries": (token([f"{ECR}/{n}" for n in range(257)], ecr=NODE), "at most 256"),
    "no registries": ({"metadata": {}, "spec": {"secretName": "a", "ecr": NODE}}, "at least one registry"),
    "no spec": ({"metadata": {}}, "spec is missing"),
    "a source that is text": (token(ecr="x"), "spec.ecr must be an object"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistake_is_said_with_its_field_and_a_way_out(case: str) -> None:
    obj, expected = WRONG[case]
    assert expected in problems(obj)


@pytest.mark.parametrize(
    ("registries", "spec", "source"),
    [
        ([ECR], {"ecr": NODE}, EcrSource),
        ([ECR.replace("ecr.", "ecr-fips."), ECR], {"ecr": NODE}, EcrSource),
        (["*.dkr.ecr.eu-west-1.amazonaws.com"], {"ecr": NODE}, EcrSource),
        (["a.azurecr.io/team", "b.azurecr.io"], {"acr": NODE}, AcrSource),
        (
            [HOSTS["enterprise"], HOSTS["enterprise"].replace("registry", "registry-vpc")],
            {"aliyun": SECRET},
            AliyunSource,
        ),
        (["harbor.example.com/a"], {"exec": {"plugin": "acr-credential-provider.v2"}}, ExecSource),
    ],
)
def test_object_is_read(registries: list[str], spec: Json, source: type) -> None:
    found = parse_registry_token(token(registries, **spec), Policy())
    assert isinstance(found.source, source)
    assert found.registries == tuple(registries)


def test_host_says_region_partition_and_fips() -> None:
    host = "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com"
    found = parse_registry_token(token([host], ecr=NODE), Policy()).source
    assert isinstance(found, EcrSource)
    assert (found.region, found.suffix, found.fips) == ("us-gov-west-1", "amazonaws.com", True)
    host = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"
    china = parse_registry_token(token([host], ecr=NODE), Policy()).source
    assert isinstance(china, EcrSource)
    assert (china.region, china.suffix) == ("cn-north-1", "amazonaws.com.cn")


def test_mirror_is_rendered_where_the_process_allows_it() -> None:
    policy = Policy(other_registries=frozenset(["mirror.example.com:5000"]))
    obj = token(["mirror.example.com:5000/team"], ecr={**NODE, "region": "eu-west-1"})
    assert parse_registry_token(obj, policy).registries == ("mirror.example.com:5000/team",)
    assert "is not a host of ECR" in problems(obj)


def test_cloud_identity_must_be_one_that_the_process_allows() -> None:
    obj = token(ecr={**NODE, "roleARN": ROLE})
    policy = Policy(allowed_identities=("arn:aws:iam::123456789012:role/pull",))
    assert parse_registry_token(obj, policy).identity == ROLE
    said = problems(obj, Policy(allowed_identities=("arn:aws:iam::123456789012:role/other",)))
    assert f"names {ROLE}" in said
    assert "--allowed-identities" in said


def test_all_that_is_wrong_is_said_at_once() -> None:
    said = problems(token([f"{ECR}.evil.com"], secretName="A", ecr={"roleARN": "x"}))
    for field in ("spec.secretName", "spec.registries", "spec.ecr.identity", "spec.ecr.roleARN"):
        assert field in said


@pytest.mark.parametrize("value", [None, [], "text", 7, {"identity": 7}, {"identity": {"secretName": 7}}])
@pytest.mark.parametrize("source", ["ecr", "ecrPublic", "artifactRegistry", "acr", "aliyun", "exec"])
def test_no_shape_of_an_object_is_a_defect(source: str, value: object) -> None:
    obj = token()
    obj["spec"][source] = value
    assert problems(obj)
