"""What the Secret of a RegistryToken holds, and when it is written."""

import base64
import json
from typing import Any

import jsonpatch
import pytest

from provisioner.tokens.planning.credential import FetchedCredential, Login, jwt_expiry, split_login
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.registry_token import Policy, RegistryToken, parse_registry_token
from provisioner.tokens.planning.source_secret import (
    content_patch,
    read_source_secret,
    render_content,
    require_own,
)
from sutler import well_known
from tests.tokens.fakes.jwt import signed

Json = dict[str, Any]
NODE = {"identity": {"process": "MetadataServer"}}


def token(*registries: str, **source: Any) -> RegistryToken:
    spec = {"secretName": "pull", "registries": list(registries), **(source or {"exec": {"plugin": "x"}})}
    return parse_registry_token({"metadata": {"name": "test"}, "spec": spec}, Policy())


def secret(content: bytes = b'{"auths":{}}', **fields: Any) -> Json:
    metadata = {"resourceVersion": "7", "labels": {well_known.TOKEN: "test", "team": "a"}, **fields.pop("metadata", {})}
    data = {".dockerconfigjson": base64.b64encode(content).decode()}
    return {"type": "kubernetes.io/dockerconfigjson", "data": data, "metadata": metadata, **fields}


def auths(content: bytes) -> dict[str, str]:
    found = json.loads(content)["auths"]
    return {key: base64.b64decode(each["auth"]).decode() for key, each in found.items()}


ALL = FetchedCredential.single("u", "canary:1", 3600)


def test_one_login_is_rendered_for_every_registry() -> None:
    rendered = render_content(token("a.azurecr.io", "a.azurecr.io/team", acr=NODE), ALL)
    assert auths(rendered) == dict.fromkeys(("a.azurecr.io", "a.azurecr.io/team"), "u:canary:1")


def test_logins_of_several_hosts_go_to_their_registries() -> None:
    logins = {host: Login("u", host) for host in ("a.azurecr.io", "b.azurecr.io")}
    rendered = render_content(token("a.azurecr.io/x", "b.azurecr.io", acr=NODE), FetchedCredential(logins, 60))
    assert auths(rendered) == {"a.azurecr.io/x": "u:a.azurecr.io", "b.azurecr.io": "u:b.azurecr.io"}


def test_of_a_plugins_keys_those_stay_that_the_registries_can_use() -> None:
    logins = {key: Login("u", "p") for key in ("*.example.com", "quay.io/acme", "https://a.example.com/v2/", "%%%")}
    found = auths(render_content(token("a.example.com/team"), FetchedCredential(logins, 60)))
    assert found.keys() == {"*.example.com", "https://a.example.com/v2/"}


def test_plugin_that_answers_for_others_is_an_error_with_the_keys() -> None:
    with pytest.raises(TokenError) as raised:
        render_content(token("a.example.com"), FetchedCredential({"quay.io": Login("u", "canary")}, 60))
    assert raised.value.reason is Reason.BAD_ANSWER
    assert "quay.io" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_same_credential_gives_the_same_bytes_in_any_order() -> None:
    logins = {"a.example.com": Login("u", "p"), "*.example.com": Login("v", "q")}
    backwards = dict(reversed(logins.items()))
    one, other = (render_content(token("a.example.com"), FetchedCredential(each, 60)) for each in (logins, backwards))
    assert one == other


def test_more_than_a_secret_holds_is_said() -> None:
    many = token(*(f"a.azurecr.io/{number}" for number in range(256)), acr=NODE)
    with pytest.raises(TokenError, match="list fewer registries"):
        render_content(many, FetchedCredential.single("u", "p" * 4000, 60))


def test_patch_changes_the_content_in_place_and_nothing_of_others() -> None:
    before = secret(metadata={"annotations": {"note": "x"}})
    patch = content_patch(read_source_secret(before), b"{}", "2026-01-01T00:00:00Z")
    after = jsonpatch.apply_patch(before, patch)
    assert base64.b64decode(after["data"][".dockerconfigjson"]) == b"{}"
    assert after["metadata"]["annotations"] == {"note": "x", well_known.EXPIRES_AT: "2026-01-01T00:00:00Z"}
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert patch[0] == {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}
    # One that has no annotation yet.
    bare = jsonpatch.apply_patch(secret(), content_patch(read_source_secret(secret()), b"{}", "x"))
    assert bare["metadata"]["annotations"] == {well_known.EXPIRES_AT: "x"}


def test_same_content_is_no_write_whatever_its_end() -> None:
    assert content_patch(read_source_secret(secret(b"{}")), b"{}", "another end") == []


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (secret(metadata={"labels": {}}), "has no label"),
        (secret(metadata={"labels": None}), "has no label"),
        (secret(metadata={"labels": {well_known.TOKEN: "other"}}), "is RegistryToken other's"),
        (secret(type="Opaque"), "of type Opaque"),
        (secret(immutable=True), "is immutable"),
    ],
)
def test_secret_of_another_kind_is_a_conflict(obj: Json, expected: str) -> None:
    with pytest.raises(TokenError, match=expected) as raised:
        require_own(read_source_secret(obj), token("a.b"), "sutler-system")
    assert raised.value.reason is Reason.CONFLICT


@pytest.mark.parametrize("data", [None, {}, {".dockerconfigjson": ""}, {".dockerconfigjson": "?"}, {"x": "e30="}])
def test_secret_without_a_config_is_empty(data: Any) -> None:
    found = read_source_secret(secret(data=data))
    assert found.is_empty
    assert content_patch(found, b"{}", "x")


def test_content_is_in_no_repr() -> None:
    assert "canary" not in repr((read_source_secret(secret(b"canary")), ALL))


@pytest.mark.parametrize("text", ["canary", ":canary", "canary:", ""])
def test_login_that_is_none_is_not_quoted(text: str) -> None:
    with pytest.raises(TokenError) as raised:
        split_login(text, "the request")
    assert "canary" not in str(raised.value)


def test_login_is_split_at_the_first_colon() -> None:
    assert split_login("user:a:b:", "x") == Login("user", "a:b:")


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "a.e30.c", "a.eyJleHAiOiJ4In0.c", "a.\xff.c", "a.b.c.d"])
def test_end_of_a_token_that_can_not_be_read_is_unknown(text: str) -> None:
    assert jwt_expiry(text) is None
    assert jwt_expiry(signed({"exp": 7})) == 7
