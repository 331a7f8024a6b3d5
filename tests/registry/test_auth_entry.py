"""What the one reader says of entries: the kubelet can use it, it can't, or a registry may refuse it."""

import base64
import json
from typing import Any

import pytest

from sutler.registry.auth_entry import AuthEntry
from sutler.registry.dockerconfig import DOCKERCFG, DOCKERCONFIGJSON, SourceError, copied, read_config, with_entry

CANARY = "canary-p4ssw0rd"


def auth(user: str = "UserName", password: str = CANARY) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def raw(text: str) -> bytes:
    """JSON with AUTH for a credential that is fine."""
    return text.replace("AUTH", f'{{"auth": "{auth()}"}}').encode()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        # az acr login; docker login with a password store's identity token; old podman
        ({"auth": auth("00000000-0000-0000-0000-000000000000", ""), "identitytoken": CANARY}, "identitytoken"),
        ({"auth": auth("acme", ""), "identityToken": CANARY}, "identitytoken"),
        ({"auth": auth("<token>", ""), "identitytoken": CANARY}, "identitytoken"),
        ({"registrytoken": CANARY}, "registrytoken"),
        ({"username": "robot"}, "no password"),
        ({"auth": auth("robot", "")}, "no password"),
        ({"auth": auth("robot", " ")}, "no password"),
        ({"auth": auth("robot", "\n")}, "no password"),
        ({"username": "robot", "password": None}, "no password"),
        ({"password": CANARY}, "no user name"),
        ({"auth": auth("", CANARY)}, "no user name"),
        ({}, "no credentials"),
        (None, "no credentials"),
        # secretgen-controller writes these
        ({"username": "", "password": "", "auth": ""}, "no credentials"),
    ],
)
def test_credential_that_cannot_log_in_is_left_and_harms_no_other(fields: Any, why: str) -> None:
    config = read_config(
        DOCKERCONFIGJSON, json.dumps({"auths": {"a.example": fields, "b.example": {"auth": auth()}}}).encode()
    )
    assert [entry.key for entry in config.entries] == ["b.example"]
    assert [(left.key, left.fatal) for left in config.left] == [("a.example", False)]
    assert why in config.left[0].why
    assert not config.problems
    assert CANARY not in " ".join(config.ignored)


@pytest.mark.parametrize(
    ("fields", "doubt"),
    [
        ({"auth": auth("robot", f"{CANARY}\n")}, "password begins or ends with a line break"),
        ({"auth": auth("robot\n", CANARY)}, "user name begins or ends with a line break"),
        ({"username": "robot", "password": f"{CANARY}\r\n"}, "password begins or ends with a line break"),
        ({"auth": auth("robot", f" {CANARY}")}, "begins or ends with a space"),
        ({"username": "a:b", "password": CANARY}, "colon"),
        ({"auth": auth("robot", "${QUAY_PASSWORD}")}, "variable that was not filled in"),
        ({"auth": auth("$QUAY_USER", "$(cat pw)")}, "user name looks like a variable"),
        ({"auth": auth("robot", "{{ .Values.password }}")}, "variable that was not filled in"),
        ({"auth": auth("robot", "***")}, "variable that was not filled in"),
        ({"auth": auth(), "username": "UserName", "password": "edited"}, "the kubelet takes auth"),
        ({"auth": base64.b64encode(b"robot:caf\xe9").decode()}, "not UTF-8"),
        # OpenShift's own pull secrets have this name, and its registry takes it
        ({"auth": auth("<token>")}, "the password is a token"),
        ({"auth": auth("robot", "${{ secrets.QUAY_PASSWORD }}")}, "variable that was not filled in"),
        ({"auth": auth("robot", "${QUAY_PASSWORD:-}")}, "variable that was not filled in"),
        ({"auth": auth("robot", "$env:QUAY_PASSWORD")}, "variable that was not filled in"),
        ({"auth": auth("robot", "#{QuayPassword}#")}, "variable that was not filled in"),
        ({"auth": auth("robot", "<no value>")}, "variable that was not filled in"),
        ({"auth": auth("robot", "null")}, "variable that was not filled in"),
        ({"username": "robot", "password": f'"{CANARY}"'}, "in quotes"),
        # PowerShell's [Text.Encoding]::Unicode, and a file that Windows saved
        ({"auth": base64.b64encode(f"robot:{CANARY}".encode("utf-16-le")).decode()}, "zero bytes of UTF-16"),
        ({"auth": auth("\ufeffrobot")}, "can't be seen"),
        ({"auth": auth("robot", f"{CANARY[:4]}\u200b{CANARY}")}, "can't be seen"),
        ({"auth": auth("robot", f"caf\ufffd{CANARY}")}, "a lost character"),
        ({"auth": auth("robot", f"x\n{CANARY}")}, "holds a line break"),
        ({"auth": auth("_json_key", f"/home/{CANARY}.json")}, "not the JSON of a key"),
    ],
)
def test_credential_that_a_registry_may_refuse_is_used_and_doubted(fields: Any, doubt: str) -> None:
    config = read_config(DOCKERCFG, json.dumps({"a.example": fields}).encode())
    assert len(config.entries) == 1
    assert doubt in config.doubts[0]
    assert "'a.example'" in config.doubts[0]
    assert CANARY not in config.doubts[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"auth": auth("$oauthtoken")},
        {"auth": auth("_json_key", '{\n  "type": "service_account"\n}')},
        {"auth": auth(), "username": "UserName", "password": CANARY, "email": "none"},
        {"auth": auth("AWS")},
        {"auth": auth("robot", "a:b:c")},
        {"auth": auth("robot$acme+ci")},
        {"auth": auth("用户", "pässword")},
        {"auth": auth("_json_key_base64", "eyJ0eXBlIjoieCJ9Cg==")},
        {"auth": auth("robot", "<a>b")},
    ],
)
def test_credential_as_registries_hand_it_out_is_not_doubted(fields: Any) -> None:
    config = read_config(DOCKERCONFIGJSON, json.dumps({"auths": {"a.example": fields}}).encode())
    assert (len(config.entries), config.doubts, config.left) == (1, (), ())


@pytest.mark.parametrize(
    "key",
    [
        f"https://robot:{CANARY}/x@quay.io",
        f"https://robot:{CANARY}#@quay.io",
        f"https://robot:12/{CANARY}@quay.io",
        f"https://robot:{CANARY}^@quay.io",
        f"https:/robot:{CANARY}@quay.io",
        f"a/robot:{CANARY}@%41",
    ],
)
def test_key_whose_password_hides_its_registry_is_left_and_not_shown(key: str) -> None:
    config = read_config(DOCKERCONFIGJSON, json.dumps({"auths": {key: {"auth": auth()}}}).encode())
    assert (config.entries, len(config.left), config.left[0].fatal) == ((), 1, False)
    assert CANARY not in repr(config)


@pytest.mark.parametrize(
    "key",
    [
        "https://index.docker.io/v1/access-token",
        "https://index.docker.io/v1/refresh-token",
        "index.docker.io/v1/access-token",
        "http://index.docker.io/refresh-token/",
        "hub-tool-refresh-token",
    ],
)
@pytest.mark.parametrize("registry", ["docker.io", "*.docker.io", "*.*.io", "docker.io/access-token"])
def test_dockers_own_tokens_are_never_copied(key: str, registry: str) -> None:
    auths = {key: {"auth": auth()}, "https://index.docker.io/v1/": {"auth": auth("acme", "2")}}
    config = read_config(DOCKERCONFIGJSON, json.dumps({"auths": auths}).encode())
    assert [left.key for left in config.left] == [key]
    assert "own" in config.left[0].why
    assert {entry.key for entry in copied(config, [registry]).entries} <= {"https://index.docker.io/v1/"}


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (raw('{"auths": {"a.example": AUTH}, "auths": {"b.example": AUTH}}'), ["a.example", "b.example"]),
        (raw('{"Auths": {"a.example": AUTH}, "aUTHs": {"b.example": AUTH}}'), ["a.example", "b.example"]),
        (raw('{"auths": {"a.example": AUTH}, "auths": null}'), []),
        (raw('{"auths": {"a.example": {}}, "auths": {"a.example": AUTH}}'), ["a.example"]),
        (raw('{"auths": {"a.example": AUTH, "a.example": {}}}'), []),
        (raw('{"auth\u017f": {"a.example": AUTH}}'), ["a.example"]),
        (raw('{"auths": {"a.example": AUTH}, "n": ' + "9" * 5000 + "}"), ["a.example"]),
    ],
)
def test_objects_that_are_there_twice_are_put_together_as_go_does(content: bytes, keys: list[str]) -> None:
    assert [entry.key for entry in read_config(DOCKERCONFIGJSON, content).entries] == keys


def test_fields_that_are_there_twice_count_as_go_counts_them() -> None:
    """The last that is not null."""
    content = f'{{"a.example": {{"auth": "eDp5", "Auth": "{auth()}", "auth": null}}}}'.encode()
    assert read_config(DOCKERCFG, content).entries == (AuthEntry("a.example", b"UserName", CANARY.encode()),)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_byte_order_mark_in_a_secret_is_named(mark: bytes) -> None:
    with pytest.raises(SourceError, match="byte order mark"):
        read_config(DOCKERCONFIGJSON, mark + b'{"auths": {}}')


def test_password_in_a_key_is_neither_said_nor_copied() -> None:
    auths = {f"https://robot:{CANARY}@quay.io/acme": {"auth": auth()}, f"x:{CANARY}@quay.io:y": {"auth": auth()}}
    config = read_config(DOCKERCONFIGJSON, json.dumps({"auths": auths}).encode())
    assert [entry.key for entry in config.entries] == ["https://quay.io/acme"]
    assert "in front of @" in config.doubts[0]
    assert CANARY not in " ".join(config.ignored)


def test_fault_in_another_registrys_entry_keeps_no_copy_back() -> None:
    auths = {"bad.example": {"auth": "***"}, "quay.io": {"auth": auth()}, "*.bad.example": "text"}
    config = read_config(DOCKERCONFIGJSON, json.dumps({"auths": auths}).encode())
    assert len(config.problems) == 2, "the Secret itself fails every pull"
    assert [entry.key for entry in copied(config, ["quay.io/acme"]).entries] == ["quay.io"]
    for registry in ("bad.example/team", "a.bad.example"):
        with pytest.raises(SourceError, match="entry '"):
            copied(config, ["quay.io", registry])


def test_entry_is_put_into_a_secret_that_keeps_all_else() -> None:
    entry = AuthEntry("quay.io/acme", b"UserName", CANARY.encode())
    others = {"bad.example": "x", "t.example": {"identitytoken": "t"}}
    there = {
        "auths": {"https://quay.io/acme": {"auth": "eDp5", "email": "e"}, **others},
        "credHelpers": {"gcr.io": "gcloud"},
        "n": 3,
    }
    changed = with_entry(DOCKERCONFIGJSON, json.dumps(there).encode(), entry)
    assert changed is not None
    assert json.loads(changed) == {
        "auths": {"quay.io/acme": {"auth": auth()}, **others},
        "credHelpers": {"gcr.io": "gcloud"},
        "n": 3,
    }
    assert with_entry(DOCKERCONFIGJSON, changed, entry) is None
