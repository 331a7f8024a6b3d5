"""The hosts of the clouds' registries: a token is rendered for its own cloud's hosts only.

Each expression is anchored at both ends: `NAME.azurecr.io.evil.example` belongs to evil.example.
"""

import re
from dataclasses import dataclass

_ACCOUNT = r"(?:[0-9]{12}|\*)"
_REGION = r"(?P<region>[a-z0-9-]+|\*)"
_AWS_SUFFIXES = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "on.aws",
    "on.amazonwebservices.com.cn",
    "sc2s.sgov.gov",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
)
_API_SUFFIXES = {"on.aws": "amazonaws.com", "on.amazonwebservices.com.cn": "amazonaws.com.cn"}
_suffix = "|".join(re.escape(each) for each in _AWS_SUFFIXES)
_ecr = re.compile(rf"{_ACCOUNT}\.dkr[.-]ecr(?P<fips>-fips)?\.{_REGION}\.(?P<suffix>{_suffix})").fullmatch
_google = re.compile(r"(?:[a-z0-9-]+-docker\.)?[a-z0-9-]*\*?[a-z0-9-]*\.pkg\.dev|(?:[a-z]+\.)?gcr\.io").fullmatch
_acr = re.compile(r"[a-z0-9-]{1,63}\.azurecr\.(?P<cloud>io|cn|us|de)").fullmatch
_personal = re.compile(r"registry(?:-vpc|-internal|-intl)?\.(?P<region>[a-z]{2,}-[a-z0-9-]+)\.aliyuncs\.com").fullmatch
_enterprise = re.compile(
    r"(?P<name>[a-z0-9-]+)-registry(?:-vpc|-intranet)?\.(?P<region>[a-z]{2,}-[a-z0-9-]+)\.cr\.aliyuncs\.com"
).fullmatch

ECR_PUBLIC = frozenset(("public.ecr.aws", "ecr-public.aws.com"))
REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+").fullmatch

AUTHORITIES = {
    "io": "https://login.microsoftonline.com",
    "cn": "https://login.partner.microsoftonline.cn",
    "us": "https://login.microsoftonline.us",
    "de": "https://login.microsoftonline.de",
}
SCOPES = {
    "io": "https://containerregistry.azure.net",
    "cn": "https://management.chinacloudapi.cn",
    "us": "https://management.usgovcloudapi.net",
    "de": "https://management.microsoftazure.de",
}


@dataclass(frozen=True)
class EcrHost:
    region: str
    """Empty where it is a glob."""
    suffix: str
    fips: bool


@dataclass(frozen=True)
class AliyunHost:
    region: str
    instance_name: str
    """Empty: Personal Edition."""


def host_of(registry: str) -> str:
    return registry.partition("/")[0]


def parse_ecr_host(host: str) -> EcrHost | None:
    found = _ecr(host)
    if not found:
        return None
    region = found["region"].strip("*")
    return EcrHost(region, _API_SUFFIXES.get(found["suffix"], found["suffix"]), bool(found["fips"]))


def parse_aliyun_host(host: str) -> AliyunHost | None:
    if found := _personal(host):
        return AliyunHost(found["region"], "")
    found = _enterprise(host)
    return AliyunHost(found["region"], found["name"]) if found else None


def azure_cloud(host: str) -> str:
    """io, cn, us or de; empty: it is no host of Azure's registries."""
    found = _acr(host)
    return found["cloud"] if found else ""


def is_google_host(host: str) -> bool:
    return bool(_google(host))
