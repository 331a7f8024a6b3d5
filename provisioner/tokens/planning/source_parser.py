"""Reads the block of a RegistryToken that names its source, with a way out for everything that is wrong. Pure."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from provisioner.tokens.planning import registry_hosts as hosts
from provisioner.tokens.planning.sources import (
    AcrSource,
    AliyunSource,
    ArtifactRegistrySource,
    EcrPublicSource,
    EcrSource,
    ExecSource,
    Identity,
    ProcessIdentity,
    TokenSource,
)
from sutler.text import quoted

_OBJECT_NAME = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
_ROLE_ARN = r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}"
_ALIYUN_ARN = r"acs:ram::[0-9]+:(?:role|oidc-provider)/[\w.-]{1,128}"
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_DOMAIN = r"[A-Za-z0-9.-]{1,253}"
_EMAIL = r"[a-z0-9-]{1,63}@[a-z0-9.:-]{1,190}\.gserviceaccount\.com"
_AUDIENCE = r"(?://iam\.googleapis\.com/projects/[0-9]+/|identitynamespace:)[!-~]{1,480}"
_PLUGIN = r"(?!\.\.?$)[^\s/]{1,255}"
_EXEC_VERSION = r"credentialprovider\.kubelet\.k8s\.io/v1(?:alpha1|beta1)?"
_vpc_endpoint = re.compile(r"[a-z0-9-]+\.api\.ecr\.[a-z0-9-]+\.vpce\.amazonaws\.com(?:\.cn)?").fullmatch

_SECRET, _ACCOUNT = "secretName", "serviceAccountName"
_WEB, _POD, _METADATA = ProcessIdentity.WEB_IDENTITY, ProcessIdentity.POD_IDENTITY, ProcessIdentity.METADATA_SERVER


class Fields:
    """The fields of one object, read with a note of all that is wrong."""

    def __init__(self, where: str, value: object, problems: list[str]) -> None:
        self.where = where
        self.problems = problems
        self._value: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        if not isinstance(value, Mapping):
            self.wrong("", "must be an object")

    def wrong(self, name: str, what: str) -> None:
        field = f"{self.where}.{name}" if name else self.where
        self.problems.append(f"{field} {what}")

    def text(self, name: str, pattern: str = "", example: str = "") -> str:
        """Empty if it is not there."""
        value = self._value.get(name)
        if value is None or value == "":
            return ""
        if not isinstance(value, str) or (pattern and not re.fullmatch(pattern, value)):
            self.wrong(name, f"is {quoted(str(value))}, expected something like {example}")
            return ""
        return value

    def flag(self, name: str) -> bool:
        return self._value.get(name) is True

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None

    def inner(self, name: str) -> "Fields":
        return Fields(f"{self.where}.{name}", self._value[name], self.problems)

    def refuse(self, names: Collection[str], why: str) -> None:
        for name in names:
            if self.has(name):
                self.wrong(name, f"has no effect {why}: leave it out")

    def require(self, names: Collection[str], why: str) -> None:
        for name in names:
            if not self.has(name):
                self.wrong(name, f"is missing: {why}")


_Parser = Callable[[Fields, tuple[str, ...], frozenset[str]], TokenSource]


def parse_source(
    provider: str, fields: Fields, registries: tuple[str, ...], others: frozenset[str]
) -> TokenSource | None:
    """None if it is not usable; then the problems have the reasons."""
    before = len(fields.problems)
    found = _PARSERS[provider](fields, registries, others)
    return found if len(fields.problems) == before else None


def _identity(fields: Fields, *allowed: str | ProcessIdentity, hint: str = "") -> Identity:
    ways = ", ".join(each if each in {_SECRET, _ACCOUNT} else f"process: {each}" for each in allowed)
    if not fields.has("identity"):
        fields.wrong("identity", f"is missing: name the identity that Sutler uses ({ways}); there is no default")
        return Identity()
    inner = fields.inner("identity")
    given = [name for name in (_SECRET, _ACCOUNT, "process") if inner.has(name)]
    if len(given) != 1:
        inner.wrong("", f"must have exactly one of {ways}; it has {' and '.join(given) or 'none of them'}")
        return Identity()
    names = f"a name in Sutler's namespace, such as {fields.where.rpartition('.')[2].lower()}-puller"
    found = Identity(inner.text(_SECRET, _OBJECT_NAME, names), inner.text(_ACCOUNT, _OBJECT_NAME, names))
    if given == ["process"]:
        text = inner.text("process", "|".join(ProcessIdentity), " or ".join(ProcessIdentity))
        found = Identity(process=ProcessIdentity(text) if text else None)
    used = found.process or given[0]
    if used not in allowed:
        inner.wrong("process" if found.process else used, f"can't be used here, expected {ways}{hint}")
    return found


def _check_hosts(
    fields: Fields, registries: tuple[str, ...], others: frozenset[str], expected: str, is_own: Callable[[str], object]
) -> list[str]:
    """The hosts that are the cloud's own."""
    own = []
    for host in dict.fromkeys(map(hosts.host_of, registries)):
        if is_own(host):
            own.append(host)
        elif host not in others:
            fields.problems.append(
                f"spec.registries: {host} is not a host of {expected}. Every node sends the token to it: correct "
                "it, or allow it with --other-registries of the process"
            )
    return own


def _one(fields: Fields, name: str, found: set[str], given: str, what: str) -> str:
    """The region (or instance) that all hosts and the field agree on."""
    named = (found | {given}) - {""}
    if len(named) == 1:
        return named.pop()
    if named:
        fields.wrong(name, f"and spec.registries name several {what}s ({', '.join(sorted(named))}); a token is good "
                     f"for one: create one RegistryToken for each")  # fmt: skip
    else:
        fields.wrong(name, f"is missing: no host in spec.registries names the {what}")
    return ""


def _ecr(fields: Fields, registries: tuple[str, ...], others: frozenset[str]) -> EcrSource:
    own = _check_hosts(fields, registries, others, "ECR (ACCOUNT.dkr.ecr.REGION.amazonaws.com)", hosts.parse_ecr_host)
    parsed = [found for host in own if (found := hosts.parse_ecr_host(host))]
    region = fields.text("region", r"[a-z]{2,}(?:-[a-z0-9]+)+", "eu-west-1")
    region = _one(fields, "region", {each.region for each in parsed}, region, "region")
    suffixes = {each.suffix for each in parsed} or {"amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"}
    if len(suffixes) > 1:
        fields.problems.append("spec.registries has hosts of several AWS partitions: create one RegistryToken for each")
    endpoint = fields.text("endpoint")
    parts = urlsplit(endpoint)
    if endpoint and (parts.scheme != "https" or not _vpc_endpoint(parts.netloc) or parts.path.strip("/")):
        fields.wrong("endpoint", "must be the URL of a VPC endpoint, https://vpce-….api.ecr.REGION.vpce.amazonaws.com")
    fips = fields.flag("fips") or any(each.fips for each in parsed)
    return EcrSource(_aws_identity(fields), region, min(suffixes), _role_arn(fields), fips, endpoint.rstrip("/"))


def _ecr_public(fields: Fields, registries: tuple[str, ...], others: frozenset[str]) -> EcrPublicSource:
    _check_hosts(fields, registries, others, "ECR Public (public.ecr.aws)", hosts.ECR_PUBLIC.__contains__)
    return EcrPublicSource(_aws_identity(fields), _role_arn(fields))


def _role_arn(fields: Fields) -> str:
    return fields.text("roleARN", _ROLE_ARN, "arn:aws:iam::123456789012:role/puller")


def _aws_identity(fields: Fields) -> Identity:
    identity = _identity(fields, _SECRET, _ACCOUNT, _WEB, _POD, _METADATA)
    if identity.service_account_name:
        fields.require(["roleARN"], "AWS exchanges a ServiceAccount's token for a role only")
    return identity


def _artifact_registry(fields: Fields, registries: tuple[str, ...], others: frozenset[str]) -> ArtifactRegistrySource:
    _check_hosts(fields, registries, others, "Artifact Registry (REGION-docker.pkg.dev, gcr.io)", hosts.is_google_host)
    key = "; a JSON key needs no token: put it into an ordinary pull secret under the user _json_key"
    identity = _identity(fields, _ACCOUNT, _WEB, _METADATA, hint=key)
    if identity.service_account_name or identity.process is _WEB:
        fields.require(["audience"], "the workload identity provider, //iam.googleapis.com/projects/NUMBER/locations/"
                       "global/workloadIdentityPools/POOL/providers/PROVIDER")  # fmt: skip
    else:
        fields.refuse(["audience"], "with the metadata server")
    audience = fields.text("audience", _AUDIENCE, "//iam.googleapis.com/projects/123/locations/global/…")
    email = fields.text("serviceAccountEmail", _EMAIL, "puller@my-project.iam.gserviceaccount.com")
    return ArtifactRegistrySource(identity, audience, email)


def _acr(fields: Fields, registries: tuple[str, ...], others: frozenset[str]) -> AcrSource:
    _check_hosts(fields, registries, others, "ACR (NAME.azurecr.io)", hosts.azure_cloud)
    clouds = {cloud for registry in registries if (cloud := hosts.azure_cloud(hosts.host_of(registry)))}
    if len(clouds) > 1:
        fields.problems.append("spec.registries has hosts of several Azure clouds: create one RegistryToken for each")
    identity = _identity(fields, _SECRET, _ACCOUNT, _WEB, _METADATA)
    if identity.secret_name or identity.service_account_name:
        fields.require(["tenantID", "clientID"], "Entra ID gives a token to an application of a tenant")
    uuid = "11111111-2222-3333-4444-555555555555"
    tenant = fields.text("tenantID", f"{_UUID}|{_DOMAIN}", uuid)
    names = tuple(dict.fromkeys(map(hosts.host_of, registries)))
    return AcrSource(identity, names, tenant, fields.text("clientID", _UUID, uuid))


def _aliyun(fields: Fields, registries: tuple[str, ...], others: frozenset[str]) -> AliyunSource:
    expected = "Alibaba Cloud's registries (registry.REGION.aliyuncs.com, NAME-registry.REGION.cr.aliyuncs.com)"
    own = _check_hosts(fields, registries, others, expected, hosts.parse_aliyun_host)
    parsed = [found for host in own if (found := hosts.parse_aliyun_host(host))]
    region = fields.text("region", r"[a-z]{2,}(?:-[a-z0-9]+)+", "cn-hangzhou")
    region = _one(fields, "region", {each.region for each in parsed}, region, "region")
    names = {each.instance_name for each in parsed}
    if len(names) > 1:
        fields.problems.append(
            "spec.registries has hosts of several instances or editions: create one RegistryToken for each"
        )
    instance = fields.text("instanceID", r"cri-[a-z0-9]{4,60}", "cri-1a2b3c4d5e6f7g8h")
    identity = _identity(fields, _SECRET, _ACCOUNT, _WEB, _METADATA)
    roles = ["roleARN", "oidcProviderARN"]
    if identity.service_account_name:
        fields.require(roles, "Alibaba Cloud exchanges a ServiceAccount's token for a role only")
    elif identity.process is not _WEB:
        fields.refuse(roles, "but with a ServiceAccount's token")
    if identity.process is not _METADATA:
        fields.refuse(["roleName"], "but with the metadata server")
    return AliyunSource(
        identity,
        region,
        instance,
        max(names, default=""),
        fields.text("roleARN", _ALIYUN_ARN, "acs:ram::1234567890123456:role/puller"),
        fields.text("oidcProviderARN", _ALIYUN_ARN, "acs:ram::1234567890123456:oidc-provider/ack-rrsa-c1"),
        fields.text("roleName", r"[\w.-]{1,64}", "KubernetesWorkerRole-1a2b"),
    )


def _exec(fields: Fields, registries: tuple[str, ...], others: frozenset[str]) -> ExecSource:
    del others  # its answer names the keys itself; those of other registries are dropped
    fields.require(["plugin"], "the name of a file in the process's --plugin-folder")
    plugin = fields.text("plugin", _PLUGIN, "ecr-credential-provider (a file's name, without a slash)")
    version = fields.text("apiVersion", _EXEC_VERSION, "credentialprovider.kubelet.k8s.io/v1")
    version = version or "credentialprovider.kubelet.k8s.io/v1"
    image = fields.text("image", r"[A-Za-z0-9][\w.:/-]{1,500}", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app")
    if not image:
        image = next((each for each in registries if not set(each) & set("*?[")), "")
        if not image and registries:
            fields.wrong("image", "is missing: spec.registries has globs only, and a plug-in gets one image")
    identity = _identity(fields, _ACCOUNT) if fields.has("identity") else Identity()
    if identity.service_account_name:
        fields.require(["audience"], "the audience of the ServiceAccount's token")
        if not version.endswith("/v1"):
            fields.wrong("apiVersion", "must be credentialprovider.kubelet.k8s.io/v1 to pass a ServiceAccount's token")
    else:
        fields.refuse(["audience"], "without an identity")
    return ExecSource(plugin, image, version, identity, fields.text("audience", r"[!-~]{1,500}", "sts.amazonaws.com"))


_PARSERS: dict[str, _Parser] = {
    "ecr": _ecr,
    "ecrPublic": _ecr_public,
    "artifactRegistry": _artifact_registry,
    "acr": _acr,
    "aliyun": _aliyun,
    "exec": _exec,
}
