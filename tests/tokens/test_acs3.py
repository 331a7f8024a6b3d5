"""Alibaba Cloud's signature V3 against its published examples."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.tokens.planning.acs3 import AliyunCredentials, sign_acs3
from provisioner.tokens.planning.http_message import HttpRequest

EXAMPLE = AliyunCredentials("YourAccessKeyId", "YourAccessKeySecret")
URL = (
    "https://ecs.cn-shanghai.aliyuncs.com/"
    "?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
)
VECTORS = [
    (
        "3156853299f313e23d1673dc12e1703d",
        datetime(2023, 10, 26, 10, 22, 32, tzinfo=UTC),
        "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    ),
    (
        "d410180a5abf7fe235dd9b74aca91fc0",
        datetime(2023, 10, 26, 9, 1, 1, tzinfo=UTC),
        "e521358f7776c97df52e6b2891a8bc73026794a071b50c3323388c4e0df64804",
    ),
]


@pytest.mark.parametrize(("nonce", "now", "signature"), VECTORS)
def test_signature_is_that_of_the_published_example(nonce: str, now: datetime, signature: str) -> None:
    signed = sign_acs3(
        HttpRequest("x", "POST", URL), EXAMPLE, action="RunInstances", version="2014-05-26", nonce=nonce, now=now
    )
    names = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
    assert signed.headers["Authorization"] == (
        f"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={names},Signature={signature}"
    )


@settings(deadline=None)
@given(
    body=st.binary(max_size=20),
    flip=st.sampled_from(["body", "secret", "action", "version", "nonce", "path", "query", "method", "token"]),
)
def test_every_part_of_a_request_counts_in_its_signature(body: bytes, flip: str) -> None:
    def signature(changed: str = "") -> str:
        def pick(name: str, value: str) -> str:
            return f"{value}x" if changed == name else value

        request = HttpRequest(
            "x",
            "GET" if changed == "method" else "POST",
            f"https://h/{pick('path', 'p')}?a={pick('query', 'b')}",
            body=body + b"!" if changed == "body" else body,
        )
        credentials = AliyunCredentials("id", pick("secret", "s"), "t" if changed == "token" else "")
        signed = sign_acs3(
            request,
            credentials,
            action=pick("action", "A"),
            version=pick("version", "v"),
            nonce=pick("nonce", "n"),
            now=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return signed.headers["Authorization"].rpartition("=")[2]

    assert signature() == signature()
    assert signature() != signature(flip)


def test_security_token_is_signed_and_in_no_repr() -> None:
    credentials = AliyunCredentials("canary-id", "canary-secret", "canary-token")
    signed = sign_acs3(HttpRequest("x", "GET", "https://h/"), credentials, action="A", version="v", nonce="n",
                       now=datetime(2026, 1, 1, tzinfo=UTC))  # fmt: skip
    assert "x-acs-security-token" in signed.headers["Authorization"]
    assert "canary" not in repr((credentials, signed))
