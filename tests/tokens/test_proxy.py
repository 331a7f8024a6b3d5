"""Which requests go through a proxy."""

import pytest

from provisioner.tokens.planning.proxy import proxy_of

ENVIRONMENT = {
    "HTTPS_PROXY": "http://proxy:3128",
    "http_proxy": "http://plain:3128",
    "NO_PROXY": "azurecr.io, .internal.example,10.0.0.0/8,exact.example",
}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.ecr.eu-west-1.amazonaws.com/", "http://proxy:3128"),
        ("http://example.com/", "http://plain:3128"),
        ("https://acme.azurecr.io/oauth2/exchange", None),
        ("https://notazurecr.io/", "http://proxy:3128"),
        ("https://a.internal.example/", None),
        ("https://internal.example/", None),
        ("https://exact.example:8443/", None),
        ("https://10.1.2.3/", None),
        ("https://11.1.2.3/", "http://proxy:3128"),
        # Of the node: the variables do not change that.
        ("http://169.254.169.254/latest/api/token", None),
        ("http://169.254.170.23/v1/credentials", None),
        ("http://[fd00:ec2::23]/v1/credentials", None),
        ("http://[fe80::1]/", None),
        ("http://metadata.google.internal/computeMetadata/v1/", None),
        ("http://METADATA.google.internal./computeMetadata/v1/", None),
        ("http://100.100.100.200/latest/", None),
        ("http://127.0.0.1:8080/", None),
        ("http://localhost/", None),
    ],
)
def test_proxy_of_a_request(url: str, proxy: str | None) -> None:
    assert proxy_of(url, ENVIRONMENT) == proxy


def test_all_proxy_and_exceptions() -> None:
    assert proxy_of("https://a.example/", {"all_proxy": "http://all:1"}) == "http://all:1"
    assert proxy_of("https://a.example/", {"ALL_PROXY": "http://all:1", "no_proxy": "*"}) is None
    assert proxy_of("https://a.example/", {"HTTPS_PROXY": ""}) is None
    assert proxy_of("https://a.example/", {}) is None
