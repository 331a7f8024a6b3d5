"""How `sutler registry import` parses docker configs of every form. No cluster is read."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from sutler.cli.registry.import_config import ImportPlan, as_text, parse_import

GOOD = {"auth": "VXNlck5hbWU6UGFzc3dvcmQ="}


def read(auths: Mapping[str, Any], **others: Any) -> ImportPlan:
    return parse_import(json.dumps({"auths": auths, **others}), "config.json")


def imported(found: ImportPlan) -> dict[str, str]:
    return {each.entry.key: each.server for each in found.entries}


def skipped(found: ImportPlan) -> dict[str, str]:
    return {each.key: each.why for each in found.skipped}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


CONFIG = json.dumps({"auths": {"quay.io": GOOD}})
OLD = json.dumps({"quay.io": GOOD})
DATA = encoded(CONFIG)
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "regcred"}}

FORMS = {
    "config.json": CONFIG,
    "with docker's own settings": CONFIG[:-1] + ', "HttpHeaders": {"User-Agent": "x"}, "psFormat": "t"}',
    "podman's auth.json": json.dumps({"auths": {"quay.io": GOOD}, "credHelpers": {}}),
    ".dockercfg": OLD,
    ".dockercfg with an email": json.dumps({"quay.io": {**GOOD, "email": "a@b.c"}}),
    "names in other cases": CONFIG.replace("auths", "Auths").replace('auth"', 'AUTH"'),
    "data of a Secret": encoded(CONFIG),
    "data of a Secret, folded": encoded(CONFIG)[:40] + "\n" + encoded(CONFIG)[40:] + "\n",
    "Secret": json.dumps({**SECRET, "data": {".dockerconfigjson": encoded(CONFIG)}}),
    "Secret of the old type": json.dumps({**SECRET, "data": {".dockercfg": encoded(OLD)}}),
    "Secret to be made": json.dumps({**SECRET, "stringData": {".dockerconfigjson": CONFIG}}),
    "Secret of a build tool": json.dumps({**SECRET, "type": "Opaque", "data": {"config.json": encoded(CONFIG)}}),
    "Secret in YAML": f"kind: Secret\ndata:\n  .dockerconfigjson: {encoded(CONFIG)}\n",
    "Secret in YAML, folded": f"kind: Secret\ndata:\n  .dockerconfigjson: >-\n    {DATA[:20]}\n    {DATA[20:]}\n",
    "several documents": f"kind: Namespace\n---\nkind: Secret\nstringData:\n  .dockerconfigjson: '{CONFIG}'\n",
    "list of Secrets": json.dumps(
        {
            "kind": "List",
            "items": [
                {**SECRET, "type": "Opaque", "data": {"password": encoded("hunter2")}},
                {**SECRET, "data": {".dockerconfigjson": encoded(CONFIG)}},
            ],
        }
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_config_is_found_in_every_form(form: str) -> None:
    found = parse_import(FORMS[form], form)
    assert (imported(found), skipped(found)) == ({"quay.io": "quay.io"}, {})
    assert (found.entries[0].entry.username, found.entries[0].entry.password) == (b"UserName", b"Password")


@pytest.mark.parametrize(
    ("auths", "others", "servers", "reasons"),
    [
        # docker login in a browser, with and without Docker Desktop
        (
            {
                "https://index.docker.io/v1/": GOOD,
                "https://index.docker.io/v1/access-token": GOOD,
                "https://index.docker.io/v1/refresh-token": GOOD,
            },
            {},
            ["docker.io"],
            ["docker's own token", "docker's own token"],
        ),
        (
            {"https://index.docker.io/v1/": {}, "https://index.docker.io/v1/access-token": {}},
            {"credsStore": "desktop"},
            [],
            ["docker-credential-desktop", "docker's own token"],
        ),
        (
            {"hub-tool": GOOD, "hub-tool-token": {"identitytoken": "t"}, "quay.io": GOOD},
            {},
            ["quay.io"],
            ["hub-tool"] * 2,
        ),
        # gcloud, ecr-login, kaniko
        ({}, {"credHelpers": {"gcr.io": "gcloud", "eu.gcr.io": "gcloud"}}, [], ["docker-credential-gcloud"] * 2),
        ({"gcr.io": {}}, {"credhelpers": {"gcr.io": "gcloud"}}, [], ["docker-credential-gcloud"]),
        ({"quay.io": GOOD}, {"CredHelpers": {"a.b": 3}}, ["quay.io"], ["a credential helper"]),
        ({}, {"credsStore": "desktop"}, [], ["docker-credential-desktop has all passwords"]),
        ({}, {}, [], []),
        # helm registry login, crane
        ({"registry-1.docker.io": GOOD, "ghcr.io": GOOD}, {}, ["docker.io", "ghcr.io"], []),
        ({"index.docker.io": GOOD}, {}, ["docker.io"], []),
        # Red Hat's pull secret
        ({"cloud.openshift.com": GOOD, "registry.redhat.io": GOOD}, {}, ["registry.redhat.io"], ["not a registry"]),
        # one bad entry of each kind
        (
            {"a.b": "text", "c.d": {"auth": "***"}, "e.f": {"auth": 1}, "quay.io": GOOD},
            {},
            ["quay.io"],
            ["object", "base64", "text"],
        ),
        ({"": GOOD, "%zz": GOOD, "quay.io": GOOD}, {}, ["quay.io"], ["no registry", "empty"]),
    ],
)
def test_entries_are_imported_or_skipped_with_a_reason(
    auths: Mapping[str, Any], others: Mapping[str, Any], servers: list[str], reasons: list[str]
) -> None:
    found = read(auths, **others)
    assert sorted(imported(found).values()) == servers
    assert len(found.skipped) == len(reasons)
    for reason in reasons:
        assert any(reason in why for why in skipped(found).values())


def test_same_registry_twice_with_one_credential_is_no_problem() -> None:
    found = read({"https://index.docker.io/v1/": GOOD, "docker.io": GOOD, "registry-1.docker.io": GOOD})
    assert imported(found) == {"docker.io": "docker.io"}
    assert found.skipped == ()
    assert "https://index.docker.io/v1/ is the same registry" in found.entries[0].note


@pytest.mark.parametrize(
    ("keys", "counts"),
    [
        (("https://index.docker.io/v1/", "docker.io"), "docker.io"),
        (("registry.hub.docker.com", "https://index.docker.io/v1/"), "https://index.docker.io/v1/"),
        (("GHCR.io", "ghcr.io"), "ghcr.io"),
        (("quay.io/acme/app", "https://quay.io/acme/app/"), "quay.io/acme/app"),
    ],
)
def test_of_two_credentials_for_a_registry_the_kubelets_choice_is_imported(keys: tuple[str, str], counts: str) -> None:
    found = read({key: {"username": "u", "password": key} for key in keys})
    assert list(imported(found)) == [counts]
    (other,) = found.skipped
    assert f"the credential of {counts} is used" in other.why
    assert not other.is_addable, "registry add would only replace the one by the other"


@pytest.mark.parametrize(
    ("fields", "password", "note"),
    [
        ({"auth": encoded("robot:pw\n")}, b"pw", "line break"),
        ({"auth": encoded("robot\n:pw")}, b"pw", "line break"),
        ({"username": "robot", "password": "pw\r\n"}, b"pw", "line break"),
        ({"auth": encoded("robot: pw")}, b" pw", "space"),
        ({"username": "ro:bot", "password": "pw"}, b"pw", "colon"),
        ({"auth": encoded("robot:${CI_TOKEN}")}, b"${CI_TOKEN}", "not filled in"),
        ({"auth": encoded("oauth2accesstoken:ya29")}, b"ya29", "an hour"),
        ({"auth": encoded("00000000-0000-0000-0000-000000000000:eyJ")}, b"eyJ", "some hours"),
        ({"auth": encoded("gitlab-ci-token:x")}, b"x", "as long as its CI job"),
        ({"username": "octocat", "password": "ghs_x"}, b"ghs_x", "as long as its CI job"),
        ({"username": "kubeadmin", "password": "sha256~x"}, b"sha256~x", "a day"),
        ({"username": "<token>", "password": "eyJ"}, b"eyJ", "the password is a token"),
    ],
)
def test_credential_that_may_be_rejected_is_imported_with_a_note(
    fields: Mapping[str, str], password: bytes, note: str
) -> None:
    (found,) = read({"quay.io": fields}).entries
    assert (found.entry.password, found.entry.username.strip()) == (password, found.entry.username)
    assert note in found.note


def test_key_longer_than_any_registry_is_skipped_at_once() -> None:
    found = read({"a." * 200_000: {"auth": encoded("robot:pw")}, "quay.io": {"auth": encoded("robot:pw")}})
    assert [each.server for each in found.entries] == ["quay.io"]
    assert "longer than any registry" in found.skipped[0].why


def test_password_of_ecr_has_a_note_on_its_expiry() -> None:
    (found,) = read({"https://123456789012.dkr.ecr.eu-west-1.amazonaws.com": {"auth": encoded("AWS:eyJ")}}).entries
    assert "12 hours" in found.note


def test_password_in_a_key_is_removed_with_a_note() -> None:
    (found,) = read({"https://robot:hunter2@quay.io/acme": GOOD}).entries
    assert (found.server, found.entry.key) == ("quay.io/acme", "https://quay.io/acme")
    assert "@, which the kubelet does not use" in found.note


def test_notes_follow_their_registry() -> None:
    found = read({"GHCR.io": GOOD, "quay.io": GOOD, "gcr.io": {}, "hub-tool": GOOD})
    lines = as_text(found, {"quay.io": "quay.io: done"}).splitlines()
    assert lines[0] == "ghcr.io: can be imported"
    assert lines[1].startswith("  Note: GHCR.io is now ghcr.io")
    assert lines[2] == "quay.io: done"
    assert lines[-1].startswith("  To add with a password, for gcr.io: sutler registry add")
