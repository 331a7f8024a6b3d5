"""Malformed requests are answered with a problem, and break nothing."""

import gzip
import json
import socket
import ssl
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.api.client import Api
from tests.api.conftest import Service
from tests.cluster import wait_for

NESTED = b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"nonsense", 400),
        (b"\xff\xfe", 400),
        (NESTED[:60_000], 400),
        (b'{"name": NaN, "size": 512}', 422),
        (b'{"name": "\\ud800", "size": 512}', 400),
        (b"null", 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b"{}", 422),
        (b'{"name": "x", "size": ' + b"9" * 5000 + b"}", 400),
        (b'{"name": "x", "size": "' + b"9" * 5000 + b'"}', 422),
        (b'{"name": {"a": 1}, "size": 512}', 422),
    ],
)
def test_body_that_is_wrong_is_refused(api: Api, pool: str, body: bytes, status: int) -> None:
    refused = api.post(f"/pools/{pool}/images", body)
    assert refused.status == status, refused.text
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert len(refused.text) < 4000, "what was sent is not sent back whole"


def test_body_that_is_too_large_is_refused(api: Api, pool: str) -> None:
    large = b'{"name": "' + b"x" * (64 * 1024) + b'"}'
    assert api.post(f"/pools/{pool}/images", large).status == 413
    bomb = gzip.compress(b" " * (64 << 20))
    assert api.post(f"/pools/{pool}/images", bomb, headers={"Content-Encoding": "gzip"}).status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_body_that_does_not_match_its_encoding_is_rejected(
    service: Service, api: Api, pool: str, encoding: str
) -> None:
    refused = api.post(f"/pools/{pool}/images", b'{"name": "x", "size": 512}', headers={"Content-Encoding": encoding})
    assert (refused.status, refused.json["type"]) == (400, "/docs#malformed")
    assert "Traceback" not in service.process.log_text()
    assert "request failed" not in service.process.log_text()


def test_client_that_disconnects_during_its_body_causes_no_internal_error(
    service: Service, api: Api, pool: str
) -> None:
    target = urlsplit(service.url)
    head = f"POST /api/v1/pools/{pool}/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token}\r\n"
    with (
        socket.create_connection((target.hostname or "", target.port or 0), timeout=10) as plain,
        api.context.wrap_socket(plain, server_hostname=target.hostname) as connection,
    ):
        connection.sendall(f'{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"'.encode())
    wait_for(lambda: f'"on_pool":"{pool}"' in service.process.log_text(), "the audit line")
    (line,) = [line for line in service.process.log_text().splitlines() if f'"on_pool":"{pool}"' in line]
    assert '"result":"malformed"' in line
    assert "request failed" not in service.process.log_text()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json5", "", "\xff"])
def test_body_of_another_type_is_refused(api: Api, pool: str, kind: str) -> None:
    refused = api.post(f"/pools/{pool}/images", b'{"name": "x", "size": 512}', headers={"Content-Type": kind})
    assert (refused.status, refused.json["accepted"]) == (415, "application/json")


def test_unknown_and_repeated_parameters_are_refused(api: Api, pool: str) -> None:
    unknown = api.get(f"/pools/{pool}/images?prefx=a")
    assert unknown.status == 422
    assert "prefix" in unknown.json["errors"][0]["accepted"]
    assert api.get("/pools?x=1").status == 422
    repeated = api.get(f"/pools/{pool}/images?limit=1&limit=2")
    assert (repeated.status, repeated.json["errors"][0]["where"]) == (422, "query/limit")


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "ten", "1.5", "", " 5", "\u0661", "9" * 30])
def test_invalid_limit_is_rejected(api: Api, pool: str, limit: str) -> None:
    assert api.get(f"/pools/{pool}/images?limit={quote(limit)}").status == 422


@pytest.mark.parametrize("path", ["/pools/%00/images", "/pools/a%0Ab", "/pools/%FF", "/pools/" + "x" * 256])
def test_invalid_path_is_rejected(api: Api, path: str) -> None:
    assert api.get(path).status in {404, 422}


def test_unsupported_method_is_answered_with_the_supported_ones(api: Api) -> None:
    refused = api.call("PUT", "/pools")
    assert refused.status == 405
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert refused.json["accepted"] == refused.headers["Allow"]


def test_unknown_path_is_a_problem(api: Api) -> None:
    refused = replace(api, base="").get("/api/v2/pools")
    assert (refused.status, refused.json["type"]) == (404, "/docs#not-found")


@pytest.mark.parametrize("prefer", ["wait=x", "wait=", "wait=99999999", "respond-async", ";;;", "wait=-1"])
def test_invalid_preference_is_ignored(api: Api, pool: str, prefer: str) -> None:
    api.post(f"/pools/{pool}/images", {"name": "x", "size": "1Mi"})
    assert api.delete(f"/pools/{pool}/images/x", headers={"Prefer": prefer}).status == 204


@pytest.mark.parametrize("sent", [b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n", b"\0" * 100])
def test_connection_without_http_is_closed_without_a_traceback(service: Service, api: Api, sent: bytes) -> None:
    target = urlsplit(service.url)
    with (
        socket.create_connection((target.hostname or "", target.port or 0), timeout=10) as plain,
        api.context.wrap_socket(plain, server_hostname=target.hostname) as connection,
    ):
        connection.sendall(sent)
        assert connection.recv(12) in {b"HTTP/1.0 400", b""}
    assert "Traceback" not in service.process.log_text()
    assert api.get("/pools").status == 200


def test_old_tls_is_refused(service: Service, api: Api) -> None:
    target = urlsplit(service.url)
    old = ssl.create_default_context(cafile=str(api.authority))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    address = (target.hostname or "", target.port or 0)
    with socket.create_connection(address, timeout=10) as plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain, server_hostname=target.hostname)


def test_every_answer_names_its_request(api: Api) -> None:
    first, second = api.get("/pools/nowhere"), api.get("/pools/nowhere")
    assert first.json["instance"] == f"urn:sutler:request:{first.headers['X-Request-Id']}"
    assert first.json["instance"] != second.json["instance"]


def test_numbers_without_fraction_are_whole_numbers(api: Api, pool: str) -> None:
    body = json.dumps({"name": "whole", "size": 1048576.0, "order": 20.0}).encode()
    made: Any = api.post(f"/pools/{pool}/images", body)
    assert (made.status, made.json["size"], made.json["order"]) == (201, 1 << 20, 20)
