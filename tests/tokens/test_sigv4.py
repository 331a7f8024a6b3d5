"""AWS Signature Version 4 against the published examples, and what must hold for any request."""

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.tokens.planning.http_message import HttpRequest
from provisioner.tokens.planning.sigv4 import AwsCredentials, canonical_request, sign_v4, signing_key

# Of AWS's published test suite and documentation.
EXAMPLE = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VECTORS = {
    "get-vanilla": (
        HttpRequest("x", "GET", "https://example.amazonaws.com/"),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        HttpRequest("x", "GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1"),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "post-vanilla": (
        HttpRequest("x", "POST", "https://example.amazonaws.com/"),
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-x-www-form-urlencoded": (
        HttpRequest("x", "POST", "https://example.amazonaws.com/", FORM, b"Param1=value1"),
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_signature_is_that_of_the_published_example(name: str) -> None:
    request, signature = VECTORS[name]
    signed = sign_v4(request, EXAMPLE, region="us-east-1", service="service", now=AT)
    assert signed.headers["Authorization"].endswith(f"Signature={signature}")
    assert "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " in signed.headers["Authorization"]


def test_documented_request_to_iam_is_signed_as_documented() -> None:
    content = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = HttpRequest("x", "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", content)
    signed = sign_v4(request, EXAMPLE, region="us-east-1", service="iam", now=AT)
    assert signed.headers["Authorization"].endswith("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")


def test_signing_key_is_derived_as_documented() -> None:
    key = signing_key(EXAMPLE.secret_access_key, "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_session_token_is_signed() -> None:
    session = AwsCredentials("A", "B", "the-session")
    signed = sign_v4(HttpRequest("x", "POST", "https://h/"), session, region="r", service="s", now=AT)
    assert signed.headers["X-Amz-Security-Token"] == "the-session"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in signed.headers["Authorization"]


pairs = st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=5)), max_size=5)


@settings(deadline=None)
@given(pairs, st.randoms())
def test_order_of_query_and_headers_does_not_matter(query: list[tuple[str, str]], random: object) -> None:
    shuffled = sorted(query, key=lambda pair: hash((pair, id(random))))
    urls = [f"https://h/p?{urlencode(each, quote_via=quote)}" for each in (query, shuffled)]
    one, other = (canonical_request(HttpRequest("x", "GET", url), {"Host": "h"}) for url in urls)
    assert one == other


@settings(deadline=None)
@given(
    method=st.sampled_from(["GET", "POST"]),
    body=st.binary(max_size=20),
    secret=st.text(min_size=1, max_size=10),
    flip=st.sampled_from(["method", "body", "secret", "region", "service", "path", "time", "token"]),
)
def test_every_part_of_a_request_counts_in_its_signature(method: str, body: bytes, secret: str, flip: str) -> None:
    def signature(changed: str = "") -> str:
        request = HttpRequest(
            "x", "PUT" if changed == "method" else method, f"https://h/{'a' if changed == 'path' else ''}",
            body=body + b"!" if changed == "body" else body,
        )  # fmt: skip
        credentials = AwsCredentials(
            "A", secret + "!" if changed == "secret" else secret, "t" if changed == "token" else ""
        )
        region, service = "q" if changed == "region" else "r", "q" if changed == "service" else "s"
        now = AT.replace(second=1) if changed == "time" else AT
        signed = sign_v4(request, credentials, region=region, service=service, now=now)
        return signed.headers["Authorization"].rpartition("=")[2]

    assert signature() == signature()
    assert signature() != signature(flip)


def test_secrets_are_in_no_repr() -> None:
    credentials = AwsCredentials("canary-key", "canary-secret", "canary-token")
    signed = sign_v4(
        HttpRequest("x", "GET", "https://h/", body=b"canary"), credentials, region="r", service="s", now=AT
    )
    assert "canary" not in repr((credentials, signed))
