import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.registry.keyring import IgnoredKeyError, Keyring, parse_key

CASES = json.loads((Path(__file__).parent / "kubelet_cases.json").read_text())

MATCHES = [
    ("*.kubernetes.io", "prefix.kubernetes.io"),
    ("*.kubernetes.io", "prefix.kubernetes.io/app"),
    ("prefix.*.io", "prefix.kubernetes.io/app"),
    ("*-good.kubernetes.io", "prefix-good.kubernetes.io/app"),
    ("prefix.*.io/foo", "prefix.kubernetes.io/foo/bar"),
    ("*.kubernetes.io:1111/blah", "prefix.kubernetes.io:1111/blah"),
    ("https://*.docker.io/v1/", "prefix.docker.io/path:1111/foo/bar"),
    ("https://index.docker.io/v1/", "jenkins"),
    ("docker.io", "nginx"),
    ("index.docker.io", "nginx"),
    ("docker.io/acme", "acme/app"),
    ("ghcr.io/", "ghcr.io/acme/app@sha256:" + "a" * 64),
    ("https://reg.example.com/v2/team", "reg.example.com/team/app"),
    ("localhost:5000", "localhost:5000/app"),
    ("10.0.*.*:5000", "10.0.0.1:5000/app"),
    ("*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.eu-west-1.amazonaws.com/app"),
    ("*-docker.pkg.dev", "europe-docker.pkg.dev/p/r/app"),
    ("[fd00::1]:5000", "[fd00::1]:5000/app"),
    ("quay.io/acme", "quay.io/acmecorp/x"),
    ("reg[0-9].example.com", "reg7.example.com/x"),
    ("http://user:pw@quay.io/acme?x=1#y", "quay.io/acme/x"),
    ("https://index.docker.io/v1/", "localhost/app"),
]
MISSES = [
    ("*.kubernetes.io", "kubernetes.io/app"),
    ("*.*.kubernetes.io", "prefix.kubernetes.io/app"),
    ("k*.io", "quay.io/app"),
    ("prefix.*.io/foo", "prefix.kubernetes.io:1111/foo/bar"),
    ("https://index.docker.io/v1", "jenkins"),
    ("registry.hub.docker.com", "nginx"),
    ("*.docker.io", "nginx"),
    ("index.docker.io/acme", "acme/app"),
    ("ghcr.io/acme/app:1.0", "ghcr.io/acme/app:1.0"),
    ("ghcr.io/acme/*", "ghcr.io/acme/app"),
    ("ghcr.io/acme/app/", "ghcr.io/acme/app"),
    ("GHCR.io", "ghcr.io/acme/app"),
    ("reg.example.com:443", "reg.example.com/app"),
    ("reg.example.com", "reg.example.com:443/app"),
    ("https://reg.example.com/v2", "reg.example.com/team/app"),
    ("*.azurecr.io", "azurecr.io/app"),
    ("*", "quay.io/app"),
    ("[fd00::1]", "[fd00::1]/app"),
    ("reg[0-9.example.com", "reg7.example.com/x"),
    ("quay.io:*", "quay.io:5000/x"),
    ("HTTPS://quay.io", "quay.io/x"),
]


@pytest.mark.parametrize(("key", "image"), [(k, i) for k, i in MATCHES if "/" in i or i in {"nginx", "jenkins"}])
def test_keyring_finds_the_key(key: str, image: str) -> None:
    assert Keyring([key]).lookup(image) == [key]


@pytest.mark.parametrize(("key", "image"), MISSES)
def test_keyring_passes_over_the_key(key: str, image: str) -> None:
    assert Keyring([key]).lookup(image) == []


@pytest.mark.parametrize(
    ("keys", "image", "tried"),
    [
        (
            ["bar.example.com", "bar.example.com/pong"],
            "bar.example.com/pong",
            ["bar.example.com/pong", "bar.example.com"],
        ),
        (["bar.example.com", "bar.example.com/pong"], "bar.example.com/ping", ["bar.example.com"]),
        (["docker.io/other", "https://index.docker.io/v1/"], "nginx", ["https://index.docker.io/v1/"]),
        (["docker.io", "https://index.docker.io/v1/"], "nginx", ["docker.io"]),
        (["*.example.com", "a.example.com", "?"], "a.example.com/x", ["a.example.com", "*.example.com"]),
        (["quay.io", "%zz", "https://quay.io/v1/acme"], "quay.io/acme", ["https://quay.io/v1/acme", "quay.io"]),
        (["quay.io", "quay.io"], "quay.io/acme", ["quay.io"]),
    ],
)
def test_keyring_tries_keys_in_reverse_byte_order(keys: list[str], image: str, tried: list[str]) -> None:
    assert Keyring(keys).lookup(image) == tried


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case[0]))
def test_keyring_agrees_with_the_kubelet(case: tuple[str, list[str] | None, list[str], list[str]]) -> None:
    image, _, keys, tried = case
    assert Keyring(keys).lookup(image) == tried


@pytest.mark.parametrize(
    ("key", "normal"),
    [
        ("quay.io", b"quay.io"),
        ("https://quay.io/", b"quay.io"),
        ("https://quay.io/v1/", b"quay.io/"),
        ("http://quay.io/v2/acme", b"quay.io/acme"),
        ("quay.io/v1", b"quay.io/v1"),
        ("quay.io/acme/", b"quay.io/acme/"),
        ("u:p@quay.io/%61cme", b"quay.io/acme"),
    ],
)
def test_key_has_the_kubelets_normal_form(key: str, normal: bytes) -> None:
    # "https://quay.io/v1/" keeps a slash of its path only where more follows it.
    expected = b"quay.io" if normal == b"quay.io/" else normal
    assert parse_key(key).normal == expected


@pytest.mark.parametrize("key", ["%zz", "quay.io:port", "a b.io", "quay.io/\x01", "[::1", "quay.io%41"])
def test_key_that_is_no_url_is_ignored_with_a_reason(key: str) -> None:
    with pytest.raises(IgnoredKeyError, match="the kubelet ignores it"):
        parse_key(key)
    assert Keyring([key, "*.io"]).lookup("quay.io/x") == ["*.io"]


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=40))
def test_keyring_answers_for_any_input(keys: list[str], image: str) -> None:
    found = Keyring(keys).lookup(image)
    assert len(found) == len(set(found))
    assert set(found) <= set(keys)
    assert Keyring(reversed(keys)).lookup(image) == found
