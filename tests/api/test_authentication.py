"""Authentication by a token file, and the texts of rejections."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.api.authorization import Role
from provisioner.api.token_file import TokenFile, TokenFileError, parse
from tests.api.client import ADMIN, TOKENS, VIEWER, Api
from tests.api.conftest import Service
from tests.cluster import wait_for


def basic(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{token}".encode()).decode()}


def test_only_health_is_served_to_strangers(api: Api) -> None:
    stranger = replace(api, token=None, base="")
    assert stranger.get("/health").json == {"status": "ok"}
    for path in ("/api/v1/pools", "/api/v1/status", "/openapi.json", "/docs", "/ui", "/", "/static/page.css"):
        assert stranger.get(path).status == 401


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic", "Basic !", "Basic YQ==", "Digest x", "Bearer a-stranger's"]
)
def test_invalid_credentials_are_rejected(api: Api, header: str) -> None:
    refused = api.get("/pools", headers={"Authorization": header})
    assert refused.status == 401
    assert refused.json["accepted"].startswith("Authorization: Bearer")


def test_browser_reads_with_basic_and_changes_nothing(api: Api, pool: str) -> None:
    assert api.get("/pools", headers=basic(VIEWER)).status == 200
    refused = api.post(f"/pools/{pool}/images", {"name": "x", "size": "1Mi"}, headers=basic(ADMIN))
    assert refused.status == 401
    assert "Bearer" in refused.json["detail"]


def test_rights_are_asked_before_anything_is_said_of_the_request(api: Api) -> None:
    assert api.as_(VIEWER).post("/pools/nowhere/images", b"not json").status == 403
    assert api.as_(None).post("/pools/nowhere/images", b"not json").status == 401


def test_token_file_is_reloaded_and_an_invalid_one_is_ignored(service: Service, api: Api) -> None:
    fresh = "fresh-token-0123456789"
    try:
        service.tokens.write_text(f"{TOKENS}{fresh},fred,viewer\n")
        wait_for(lambda: api.as_(fresh).get("/pools").status == 200, "the new token to work")
        service.tokens.write_text("rubbish\n")
        wait_for(
            lambda: "token file is invalid" in service.process.log_text() or api.get("/pools") is None, "the warning"
        )
        assert api.as_(fresh).get("/pools").status == 200
    finally:
        service.tokens.write_text(TOKENS)
    wait_for(lambda: api.as_(fresh).get("/pools").status == 401, "the withdrawn token to fail")


def test_no_token_is_ever_logged(service: Service, api: Api) -> None:
    api.get("/pools", headers={"Authorization": "Bearer canary-0123456789"})
    assert not [token for token in (ADMIN, VIEWER, "canary-0123456789") if token in service.process.log_text()]


def test_token_file_names_users_and_roles() -> None:
    users = {user.name: user.role for user in parse(f"\n# comment\n{ADMIN} , ada , admin\n", "tokens").values()}
    assert users == {"ada": Role.ADMIN}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no tokens"),
        ("only-a-token-0123", "line 1 is not token,user,role"),
        (f"{ADMIN},ada,root", "role 'root' is not viewer, editor or admin"),
        ("short,ada,admin", "shorter than 16"),
        (f"{ADMIN},,admin", "is not token,user,role"),
    ],
)
def test_unusable_token_file_is_explained_without_its_tokens(text: str, said: str) -> None:
    with pytest.raises(TokenFileError, match=said) as raised:
        parse(text, "tokens")
    assert ADMIN not in str(raised.value)


def test_missing_token_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match="cannot be read"):
        TokenFile(tmp_path / "nowhere")
