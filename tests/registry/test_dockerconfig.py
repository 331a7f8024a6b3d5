import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.registry.auth_entry import AuthEntry
from sutler.registry.dockerconfig import (
    DOCKERCFG,
    DOCKERCONFIGJSON,
    DockerConfig,
    SourceError,
    parse_secret,
    render,
    usable_entries,
)

CANARY = "canary-p4ssw0rd"


def auth(user: str = "UserName", password: str = CANARY) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def config(auths: Any, **others: Any) -> DockerConfig:
    return parse_secret(DOCKERCONFIGJSON, {".dockerconfigjson": json.dumps({"auths": auths, **others}).encode()})


def test_both_types_of_secret_are_read() -> None:
    entries = {"quay.io": {"auth": auth()}}
    modern = parse_secret(DOCKERCONFIGJSON, {".dockerconfigjson": json.dumps({"auths": entries}).encode()})
    legacy = parse_secret(DOCKERCFG, {".dockercfg": json.dumps(entries).encode()})
    assert modern.entries == legacy.entries == (AuthEntry("quay.io", b"UserName", CANARY.encode()),)


@pytest.mark.parametrize(
    "fields",
    [
        {"auth": auth()},
        {"auth": auth().rstrip("=")},
        {"auth": auth()[:8] + "\n" + auth()[8:]},
        {"username": "UserName", "password": CANARY},
        {"Username": "UserName", "PASSWORD": CANARY},
        {"auth": auth(), "username": "other", "password": "other"},
        {"auth": auth(), "email": None, "unknown": [1]},
        {"auth": "", "username": "UserName", "password": CANARY},
    ],
)
def test_entry_is_read_as_the_kubelet_reads_it(fields: dict[str, Any]) -> None:
    assert config({"quay.io": fields}).entries == (AuthEntry("quay.io", b"UserName", CANARY.encode()),)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"auth": "***"}, "not base64"),
        ({"auth": " " + auth()}, "not base64"),
        ({"auth": "YQ==="}, "not base64"),
        ({"auth": "YWI=="}, "not base64"),
        ({"auth": "Y"}, "not base64"),
        ({"auth": base64.b64encode(CANARY.encode()).decode()}, "USER:PASSWORD"),
        ({"auth": 7}, "auth must be text"),
        ({"auth": 7, "Auth": auth()}, "auth must be text"),
        ({"auth": base64.b64encode(auth().encode()).decode()}, "the base64 of that"),
        ({"auth": f"UserName:{CANARY}"}, "it is plain USER:PASSWORD"),
        ({"username": [CANARY]}, "username must be text"),
        ("text", "is not an object"),
    ],
)
def test_entry_that_would_fail_every_pull_is_an_error_without_the_credential(fields: Any, problem: str) -> None:
    with pytest.raises(SourceError) as error:
        config({"quay.io": fields, "ghcr.io": {"auth": auth()}})
    assert problem in str(error.value)
    assert "'quay.io'" in str(error.value)
    assert CANARY not in str(error.value)
    assert auth() not in str(error.value)


@pytest.mark.parametrize(
    ("secret_type", "data", "problem"),
    [
        ("Opaque", {".dockerconfigjson": b"{}"}, "type is 'Opaque'"),
        (DOCKERCONFIGJSON, {}, "no key .dockerconfigjson"),
        (DOCKERCONFIGJSON, {".dockerconfigjson": b""}, "no key .dockerconfigjson"),
        (DOCKERCONFIGJSON, {".dockercfg": b"{}"}, "no key .dockerconfigjson"),
        (DOCKERCFG, {".dockerconfigjson": b"{}"}, "no key .dockercfg"),
        (DOCKERCONFIGJSON, {".dockerconfigjson": CANARY.encode()}, "not JSON"),
        (DOCKERCONFIGJSON, {".dockerconfigjson": b'{"auths": NaN}'}, "not JSON"),
        (DOCKERCONFIGJSON, {".dockerconfigjson": b"[" * 100_000}, "not JSON"),
        (DOCKERCONFIGJSON, {".dockerconfigjson": b"\xff"}, "not JSON"),
        (DOCKERCONFIGJSON, {".dockerconfigjson": b"[]"}, "not a JSON object"),
        (DOCKERCONFIGJSON, {".dockerconfigjson": b'{"auths": []}'}, "auths is not an object"),
        (DOCKERCONFIGJSON, {".dockerconfigjson": b'{"auths": 7}'}, "auths is not an object"),
        (DOCKERCONFIGJSON, {".dockerconfigjson": b"{}"}, "no credentials"),
        (DOCKERCFG, {".dockercfg": b"{}"}, "no credentials"),
    ],
)
def test_secret_that_is_no_pull_secret_says_what_is_wrong(
    secret_type: str, data: dict[str, bytes], problem: str
) -> None:
    with pytest.raises(SourceError) as error:
        parse_secret(secret_type, data)
    assert problem in str(error.value)
    assert CANARY not in str(error.value)


def test_what_the_kubelet_ignores_is_said() -> None:
    found = config(
        {"quay.io": {"identitytoken": CANARY}, "%zz": {"auth": auth()}, "ghcr.io": {}, "x.io": {"auth": auth()}},
        credsStore="desktop",
        credHelpers={"gcr.io": "gcloud"},
    )
    assert [entry.key for entry in found.entries] == ["x.io"]
    said = " ".join(found.ignored)
    for word in ("credsStore", "credHelpers", "identitytoken", "'%zz'", "'ghcr.io'"):
        assert word in said
    assert CANARY not in said


def test_no_credential_is_in_a_repr() -> None:
    assert CANARY not in repr(config({"quay.io": {"auth": auth()}}))
    assert "UserName" not in repr(config({"quay.io": {"auth": auth()}}))


@pytest.mark.parametrize(
    ("key", "registry", "usable"),
    [
        ("quay.io", "quay.io", True),
        ("quay.io", "quay.io/acme", True),
        ("https://quay.io/v2/", "quay.io/acme", True),
        ("quay.io/acme/app", "quay.io/acme", True),
        ("quay.io/acme/", "quay.io/acme", True),
        ("quay.io/ac", "quay.io/acme", True),
        ("*.io", "quay.io", True),
        ("quay.io", "*.io", True),
        ("q*.io", "*y.io", True),
        ("*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.*.amazonaws.com/team", True),
        ("https://index.docker.io/v1/", "docker.io", True),
        ("https://index.docker.io/v1/", "docker.io/acme", True),
        ("https://index.docker.io/v1/", "*.io", True),
        ("docker.io/acme", "docker.io", True),
        ("[fd00::1]:5000", "[fd00::1]:5000", True),
        ("quay.io/other", "quay.io/acme", False),
        ("quay.io/acmecorp", "quay.io/acme", False),
        ("quay.io:443", "quay.io", False),
        ("quay.io", "quay.io:443", False),
        ("quay.io/acme/app:1.0", "quay.io/acme", False),
        ("quay.io/acme/*", "quay.io/acme", False),
        ("QUAY.io", "quay.io", False),
        ("*.quay.io", "quay.io", False),
        ("a*.io", "*b*.com", False),
        ("a*.io", "b*.io", False),
        ("https://index.docker.io/v1", "docker.io", False),
        ("index.docker.io/acme", "docker.io/acme", False),
        ("https://index.docker.io/v1/", "quay.io", False),
        ("a[b", "*.io", False),
        # No limit but the Secret's own is on a key's length; a host has at most 253 characters.
        (f"{'a' * 250}.io", "*.io", True),
        (f"{'a' * 250}.io", "*b.io", False),
        (f"{'*a' * 200}.io", "a*a.io", True),
        (f"{'*a' * 120}.io", f"{'*a' * 60}.io", True),
        (f"{'a' * 5000}.io", "*.io", False),
        (f"{'*a' * 100_000}.io", f"{'*a' * 60}.io", False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_usable_entries_are_those_that_the_kubelet_would_try(key: str, registry: str, usable: bool) -> None:
    found = usable_entries(config({key: {"auth": auth()}}), [registry, "unrelated.example.com"])
    assert bool(found) is usable


def test_render_gives_the_same_bytes_for_the_same_entries() -> None:
    one = config({"quay.io": {"auth": auth()}, "ghcr.io": {"username": "UserName", "password": CANARY}})
    other = config({"ghcr.io": {"auth": auth().rstrip("=")}, "quay.io": {"auth": auth(), "email": "a@b"}})
    assert render(one.entries, DOCKERCONFIGJSON) == render(other.entries, DOCKERCONFIGJSON)
    expected = f'{{"auths":{{"ghcr.io":{{"auth":"{auth()}"}},"quay.io":{{"auth":"{auth()}"}}}}}}'
    assert render(one.entries, DOCKERCONFIGJSON) == expected.encode()
    assert json.loads(render(one.entries, DOCKERCFG)) == {key: {"auth": auth()} for key in ("ghcr.io", "quay.io")}


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


@given(
    st.lists(st.tuples(st.sampled_from(("quay.io", "ghcr.io", "a.b")), TEXT, TEXT), unique_by=lambda entry: entry[0])
)
def test_render_is_read_back_unchanged(entries: list[tuple[str, str, str]]) -> None:
    given_entries = tuple(AuthEntry(key, user.encode(), password.encode()) for key, user, password in sorted(entries))
    kept = tuple(entry for entry in given_entries if entry.username.strip() and entry.password.strip())
    for secret_type, key in ((DOCKERCONFIGJSON, ".dockerconfigjson"), (DOCKERCFG, ".dockercfg")):
        if entries:
            assert parse_secret(secret_type, {key: render(given_entries, secret_type)}).entries == kept
