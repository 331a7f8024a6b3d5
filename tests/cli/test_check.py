"""Logging in to real registries: htpasswd, and tokens signed by a token service of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Sutler
from tests.cli.registries import PlainRegistry, TokenService, docker_registry, served
from tests.cluster import Place, Registry, pki


def add(sutler: Sutler, server: str, username: str, password: str) -> str:
    """The mapping's name."""
    ran = sutler("registry", "add", server, "--username", username, "--password-stdin", "-o", "json", stdin=password)
    assert ran.status == 0, ran.err
    name: str = ran.json["mapping"]
    return name


def test_right_password_works(sutler: Sutler, registry: Registry) -> None:
    add(sutler, registry.host, "UserName", "Password")
    ran = sutler("registry", "check", "-o", "json")
    assert ran.status == 0, ran.out
    assert [(each["works"], each["message"]) for each in ran.json] == [(True, "logged in")]


def test_wrong_password_is_reported_and_fixed_by_adding_again(sutler: Sutler, registry: Registry) -> None:
    name = add(sutler, f"{registry.host}/team", "UserName", "hunter2")
    ran = sutler("registry", "check", name)
    assert ran.status == 1
    assert "user name or password rejected (401 UNAUTHORIZED)" in ran.out
    add(sutler, f"{registry.host}/team", "UserName", "Password")
    assert sutler("registry", "check", name).status == 0


def test_missing_image_is_reported(sutler: Sutler, registry: Registry) -> None:
    add(sutler, registry.host, "UserName", "Password")
    ran = sutler("registry", "check", "--image", f"{registry.host}/team/nothing:1")
    assert ran.status == 1
    assert "logged in, but team/nothing/manifests/1 does not exist" in ran.out


def test_unreachable_registry_is_reported(sutler: Sutler, place: Place) -> None:
    add(sutler, f"localhost:{place.port()}", "u", "hunter2")
    ran = sutler("registry", "check")
    assert ran.status == 1
    assert "is unreachable from here" in ran.out


def test_pattern_needs_an_image(sutler: Sutler, registry: Registry) -> None:
    name = add(sutler, f"*:{registry.port}", "UserName", "Password")
    ran = sutler("registry", "check", "-o", "json")
    assert ran.status == 0
    assert (ran.json[0]["works"], "--image" in ran.json[0]["message"]) == (None, True)
    tried = sutler("registry", "check", name, "--image", f"{registry.host}/team/nothing")
    assert "logged in, but" in tried.out


def test_password_is_not_sent_without_tls_unless_asked_for(sutler: Sutler, place: Place) -> None:
    """127.0.0.2 is this machine, but not a name for which plain HTTP is used without --plain-http."""
    server = PlainRegistry("127.0.0.2", place.port())
    with served(server):
        add(sutler, f"127.0.0.2:{server.server_port}", "UserName", "Password")
        ran = sutler("registry", "check")
        assert (ran.status, server.sent) == (1, [])
        assert "does not use TLS; if that is intended, add --plain-http" in ran.out
        assert sutler("registry", "check", "--plain-http").status == 0
        assert server.sent == ["Basic VXNlck5hbWU6UGFzc3dvcmQ="]


def test_certificate_of_an_own_authority_needs_to_be_trusted(sutler: Sutler, place: Place, tmp_path: Path) -> None:
    pki.write(tmp_path / "pki", ["127.0.0.1"], ["localhost"])
    with TokenService.serving(place.port(), tmp_path) as tokens:
        auth = tokens.auth_of_registry
        with docker_registry(place, tmp_path, auth, tmp_path / "pki") as host:
            add(sutler, host, "UserName", "Password")
            ran = sutler("registry", "check")
            assert ran.status == 1
            assert "not trusted here" in ran.out
            trusted = sutler("registry", "check", "--ca-file", str(tmp_path / "pki" / "ca.crt"))
            assert "has no TLS, so the password was not sent" in trusted.out
            assert tokens.asked == []


def test_ca_file_that_is_none_is_wrong_usage(sutler: Sutler, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    assert sutler("registry", "check", "--ca-file", str(tmp_path / "empty")).status == 2
    assert sutler("registry", "check", "--ca-file", str(tmp_path / "none")).status == 2


def test_unknown_name_is_refused(sutler: Sutler) -> None:
    ran = sutler("registry", "check", "nothing")
    assert ran.status == 1
    assert "there is no mapping nothing" in ran.err


@pytest.fixture
def tokens(place: Place, tmp_path: Path) -> Iterator[TokenService]:
    with TokenService.serving(place.port(), tmp_path) as service:
        yield service


@pytest.fixture
def token_registry(place: Place, tmp_path: Path, tokens: TokenService) -> Iterator[str]:
    """The host of a docker-registry that believes the token service."""
    with docker_registry(place, tmp_path, tokens.auth_of_registry) as host:
        yield host


def test_token_flow_works_and_asks_for_the_image(sutler: Sutler, token_registry: str, tokens: TokenService) -> None:
    add(sutler, token_registry, "UserName", "Password")
    ran = sutler("registry", "check", "-o", "json")
    assert (ran.status, ran.json[0]["message"]) == (0, "logged in")
    assert tokens.asked == [{"service": ["test"]}]
    pull = sutler("registry", "check", "--image", f"{token_registry}/team/app:1")
    assert "logged in, but team/app/manifests/1 does not exist" in pull.out
    assert tokens.asked[-1] == {"service": ["test"], "scope": ["repository:team/app:pull"]}


def test_token_flow_reports_a_wrong_password(sutler: Sutler, token_registry: str) -> None:
    """The token service's answer quotes what it was given; nothing of that may show."""
    add(sutler, token_registry, "UserName", "hunter2")
    ran = sutler("registry", "check")
    assert ran.status == 1
    assert "user name or password rejected (401)" in ran.out
