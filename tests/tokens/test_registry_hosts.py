"""Which hosts are a cloud's own; look-alikes are not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.tokens.planning import registry_hosts as hosts

OWN = {
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com": "ecr",
    "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "ecr",
    "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn": "ecr",
    "123456789012.dkr-ecr.eu-west-1.on.aws": "ecr",
    "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu": "ecr",
    "*.dkr.ecr.*.amazonaws.com": "ecr",
    "acme.azurecr.io": "acr",
    "acme.azurecr.cn": "acr",
    "acme.azurecr.us": "acr",
    "europe-docker.pkg.dev": "google",
    "us-central1-docker.pkg.dev": "google",
    "*-docker.pkg.dev": "google",
    "gcr.io": "google",
    "eu.gcr.io": "google",
    "registry.cn-hangzhou.aliyuncs.com": "aliyun",
    "registry-vpc.cn-hangzhou.aliyuncs.com": "aliyun",
    "registry-intl.ap-southeast-1.aliyuncs.com": "aliyun",
    "acme-registry.cn-hangzhou.cr.aliyuncs.com": "aliyun",
    "acme-registry-vpc.cn-hangzhou.cr.aliyuncs.com": "aliyun",
}
READERS = {
    "ecr": hosts.parse_ecr_host,
    "acr": hosts.azure_cloud,
    "google": hosts.is_google_host,
    "aliyun": hosts.parse_aliyun_host,
}


@pytest.mark.parametrize("host", OWN)
def test_host_is_its_own_clouds_and_no_others(host: str) -> None:
    assert [cloud for cloud, read in READERS.items() if read(host)] == [OWN[host]]


@pytest.mark.parametrize("tail", [".evil.com", "x", ".", ":443", "/x", "@evil.com", "\n", " "])
@pytest.mark.parametrize("host", OWN)
def test_look_alike_host_belongs_to_no_cloud(host: str, tail: str) -> None:
    assert not [cloud for cloud, read in READERS.items() if read(host + tail)]


@settings(deadline=None)
@given(st.sampled_from(sorted(OWN)), st.text(alphabet="ab.-@/:*", min_size=1, max_size=8))
def test_what_stands_in_front_opens_no_other_domain(host: str, head: str) -> None:
    """A prefix may make another name of the same cloud, never a name outside of its domain."""
    for read in READERS.values():
        if read(head + host):
            assert not set(head + host) & set("@/:")
            assert (head + host).endswith(
                (".amazonaws.com", ".amazonaws.com.cn", ".on.aws", ".amazonaws.eu", ".azurecr.io", ".azurecr.cn",
                 ".azurecr.us", ".pkg.dev", "gcr.io", ".aliyuncs.com")
            )  # fmt: skip


@pytest.mark.parametrize(
    "host", ["evilgcr.io", "gcr.io.evil", "1.dkr.ecr.eu-west-1.amazonaws.com", "azurecr.io", "pkg.dev"]
)
def test_what_only_looks_like_a_cloud_is_none(host: str) -> None:
    assert not [cloud for cloud, read in READERS.items() if read(host)]


def test_names_in_hosts_are_read() -> None:
    enterprise = hosts.parse_aliyun_host("my-team-registry-vpc.cn-hangzhou.cr.aliyuncs.com")
    assert enterprise == hosts.AliyunHost("cn-hangzhou", "my-team")
    assert hosts.parse_aliyun_host("registry.cn-beijing.aliyuncs.com") == hosts.AliyunHost("cn-beijing", "")
