"""`sutler registry add --ecr …` and `sutler token`: what they make, what they say, what they refuse."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.tokens.planning.registry_token import Policy, parse_registry_token
from provisioner.tokens.planning.source_secret import read_source_secret, require_own
from sutler import well_known
from sutler.cli.exit_codes import RefusedError, UsageError
from sutler.cli.registry.add_token import AddedToken, add_token
from sutler.cli.registry.plan import RegistryRequest
from sutler.cli.registry.remove import remove
from sutler.cli.registry.token_objects import TokenObjects
from sutler.cli.registry.token_source import TokenChoice, checked_spec
from sutler.cli.token import fetch, render
from sutler.kube.client import Client, connect
from tests.conftest import REPOSITORY
from tests.tokens.fakes import aliyun, azure, google
from tests.tokens.fakes.api_server import OWN, SECRETS, TOKENS, FakeApiServer
from tests.tokens.fakes.aws import ROLE
from tests.tokens.fakes.hosts import HOSTS

Json = dict[str, Any]

MAPPINGS = "/apis/sutler.dev/v1alpha1/registrymappings"
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{OWN}"
ECR = HOSTS["ecr"]
IRSA = TokenChoice("ecr", "account:puller", {"--role": ROLE})

CHOICES: dict[str, tuple[str, TokenChoice, Json]] = {
    "ecr": (ECR, IRSA, {"ecr": {"roleARN": ROLE, "identity": {"serviceAccountName": "puller"}}}),
    "ecr public": ("public.ecr.aws", TokenChoice("ecrPublic", "pod-identity"),
                   {"ecrPublic": {"identity": {"process": "PodIdentity"}}}),
    "artifact registry": (
        "europe-docker.pkg.dev/p/r",
        TokenChoice("artifactRegistry", "web-identity", {"--audience": google.AUDIENCE, "--impersonate": google.EMAIL}),
        {
            "artifactRegistry": {
                "audience": google.AUDIENCE,
                "serviceAccountEmail": google.EMAIL,
                "identity": {"process": "WebIdentity"},
            }
        },
    ),
    "acr": (
        "acme.azurecr.io",
        TokenChoice("acr", "secret:key", {"--tenant": azure.TENANT, "--client": azure.CLIENT}),
        {"acr": {"tenantID": azure.TENANT, "clientID": azure.CLIENT, "identity": {"secretName": "key"}}},
    ),
    "aliyun": (
        HOSTS["enterprise"],
        TokenChoice("aliyun", "metadata", {"--role": "node", "--instance": aliyun.INSTANCE}),
        {"aliyun": {"roleName": "node", "instanceID": aliyun.INSTANCE, "identity": {"process": "MetadataServer"}}},
    ),
    "exec": (
        "harbor.example.com/a",
        TokenChoice("exec", None, {}, "plugin"),
        {"exec": {"plugin": "plugin", "apiVersion": "credentialprovider.kubelet.k8s.io/v1"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_choice_becomes_a_spec_that_the_process_takes(name: str) -> None:
    server, choice, block = CHOICES[name]
    spec, note = checked_spec(server, "pull", choice)
    assert spec == {"secretName": "pull", "registries": [server], **block}
    assert note == ""
    assert parse_registry_token({"metadata": {"name": "x"}, "spec": spec}, Policy()).secret_name == "pull"


@pytest.mark.parametrize(
    ("server", "choice", "expected"),
    [
        (ECR, TokenChoice("ecr", None), "--identity is missing"),
        (ECR, TokenChoice("ecr", "account:puller"), "--role is missing"),
        (ECR, TokenChoice("ecr", "node"), "--identity is account:NAME"),
        (ECR, TokenChoice("ecr", "account:"), "--identity is account:NAME"),
        (ECR, TokenChoice("ecr", "metadata", {"--tenant": "x"}), "--tenant cannot be combined with ecr"),
        ("acme.azurecr.io", TokenChoice("acr", "secret:key"), "--tenant is missing"),
        ("gcr.io", TokenChoice("artifactRegistry", "secret:key"), "under the user _json_key"),
    ],
)
def test_mistake_is_said_in_words_of_the_command_line(server: str, choice: TokenChoice, expected: str) -> None:
    with pytest.raises(UsageError) as raised:
        checked_spec(server, "pull", choice)
    assert expected in str(raised.value)


def test_mirror_is_taken_with_a_note() -> None:
    choice = TokenChoice("ecr", "metadata", {"--region": "eu-west-1"})
    _, note = checked_spec("mirror.example.com/team", "pull", choice)
    assert "--other-registries mirror.example.com" in note


def test_objects_are_those_of_the_example() -> None:
    """The example is what the command makes, but for labels of the command's own."""
    documents = yaml.safe_load_all((REPOSITORY / "manifests/examples/registrytoken.yaml").read_text())
    by_kind = {each["kind"]: each for each in documents}
    spec = by_kind["RegistryToken"]["spec"]
    for each in TokenObjects("ecr", OWN, spec).manifests():
        labels = each["metadata"].pop("labels")
        example = by_kind[each["kind"]]
        assert {key: labels[key] for key in example["metadata"].pop("labels", {})} == {
            key: value for key, value in labels.items() if key == well_known.TOKEN
        }
        assert each == example


def test_secret_that_is_made_is_one_that_the_process_takes() -> None:
    objects = TokenObjects("a", OWN, checked_spec(ECR, "pull", IRSA)[0])
    secret = objects.secret()
    secret["metadata"]["resourceVersion"] = "1"
    token = parse_registry_token({"metadata": {"name": "a"}, "spec": objects.spec}, Policy())
    require_own(read_source_secret(secret), token, OWN)


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[tuple[FakeApiServer, Client]]:
    async with FakeApiServer() as api:
        api.collections |= {MAPPINGS, TOKENS, "/api/v1/namespaces"}
        async with connect(api.kubeconfig(folder), component="test") as client:
            yield api, client


async def added(client: Client, choice: TokenChoice = IRSA, server: str = ECR) -> AddedToken:
    return await add_token(client, RegistryRequest(server, b"", b""), choice, OWN)


async def test_adding_makes_all_that_is_needed_and_again_changes_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (api, client):
        done = await added(client)
        name = done.added.target.name
        made = set(api.objects)
        assert made == {
            f"/api/v1/namespaces/{OWN}/serviceaccounts/puller",
            f"{RBAC}/roles/sutler-token-{name}",
            f"{RBAC}/rolebindings/sutler-token-{name}",
            f"{SECRETS}/{name}-credentials",
            f"{TOKENS}/{name}",
            f"{MAPPINGS}/{name}",
        }
        assert f"RegistryToken {name} created" in done.as_text()
        before = json.dumps(api.objects)
        again = await added(client)
        assert json.dumps(api.objects) == before
        assert again.as_json()["changes"] == {"secret": "unchanged", "mapping": "unchanged", "token": "unchanged"}


async def test_another_identity_changes_the_token_and_its_role(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (api, client):
        name = (await added(client)).added.target.name
        assert (await added(client, TokenChoice("ecr", "secret:key"))).token_change == "changed"
        assert api.objects[f"{TOKENS}/{name}"]["spec"]["ecr"] == {"identity": {"secretName": "key"}}
        rules = api.objects[f"{RBAC}/roles/sutler-token-{name}"]["rules"]
        assert [(rule["resources"], rule["resourceNames"]) for rule in rules] == [
            (["secrets"], [f"{name}-credentials"]),
            (["secrets"], ["key"]),
        ]


async def test_password_that_was_added_is_handed_over_without_a_gap(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (api, client):
        name = (await added(client)).added.target.name
        secret = api.objects[f"{SECRETS}/{name}-credentials"]
        del secret["metadata"]["labels"][well_known.TOKEN]
        secret["data"] = {".dockerconfigjson": "e30="}
        api.remove(f"{TOKENS}/{name}")
        assert (await added(client)).added.secret_change == "changed"
        secret = api.objects[f"{SECRETS}/{name}-credentials"]
        assert secret["metadata"]["labels"][well_known.TOKEN] == name
        assert secret["data"] == {".dockerconfigjson": "e30="}


async def test_what_others_made_stays(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (api, client):
        name = (await added(client)).added.target.name
        secret, token = api.objects[f"{SECRETS}/{name}-credentials"], api.objects[f"{TOKENS}/{name}"]
        secret["metadata"]["labels"] = {}
        with pytest.raises(RefusedError, match="was not created by this command"):
            await added(client)
        secret["metadata"]["labels"] = {well_known.SOURCE_OF: name}
        token["metadata"]["labels"], token["spec"] = {}, {**token["spec"], "registries": ["other"]}
        with pytest.raises(RefusedError, match=f"RegistryToken {name} exists"):
            await added(client)


async def test_removing_takes_the_token_and_its_rights_along(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (api, client):
        name = (await added(client)).added.target.name
        (done,) = await remove(client, [name], OWN)
        assert set(api.objects) == {f"/api/v1/namespaces/{OWN}/serviceaccounts/puller"}
        assert f"RegistryToken {name} deleted" in done.as_text()


async def test_cluster_without_the_kind_says_what_to_apply(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (api, client):
        api.collections.discard(TOKENS)
        api.forbidden.clear()
        # The fake lists tokens on its own path; an API server that does not know the kind answers 404.
        api.missing.add(TOKENS)
        with pytest.raises(RefusedError, match="manifests/crds"):
            await added(client)
        assert api.objects == {}


async def test_refresh_waits_for_its_answer(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (api, client):
        name = (await added(client)).added.target.name
        (late,) = await fetch.refresh(client, [name], 0.1)
        assert not late.refreshed
        assert "does the tokens process run?" in late.as_text()
        with pytest.raises(RefusedError, match="there is no RegistryToken other"):
            await fetch.refresh(client, [name, "other"], 0.1)

        def answer(status: str) -> None:
            obj = api.objects[f"{TOKENS}/{name}"]
            condition = {"type": "Refreshing", "status": status, "message": "the cloud said no"}
            request = obj["metadata"]["annotations"]["sutler.dev/refresh-requested-at"]
            obj["status"] = {"refreshRequest": request, "conditions": [condition], "expiresAt": "then"}

        for status, expected in (("True", "refreshed, good until then"), ("False", "not refreshed: the cloud said no")):
            api.on_write = lambda status=status: answer(status)
            (done,) = await fetch.refresh(client, [name], 5)
            assert done.refreshed == (status == "True")
            assert expected in done.as_text()


NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (timedelta(hours=5, minutes=12), "5h 12min"),
        (timedelta(days=40, hours=3), "40d 3h"),
        (timedelta(seconds=9), "9s"),
        (timedelta(hours=1), "1h"),
        (timedelta(0), "ended"),
        (timedelta(days=-1), "ended"),
    ],
)
def test_rest_of_a_life_is_shown_in_two_units(left: timedelta, text: str) -> None:
    assert render.ends_in((NOW + left).isoformat(), NOW) == text


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-01-01"])
def test_end_that_is_none_is_a_dash(text: str | None) -> None:
    assert render.ends_in(text, NOW) == "-"


def test_list_names_what_fails() -> None:
    failing = {
        "metadata": {"name": "ecr"},
        "spec": checked_spec(ECR, "pull", IRSA)[0],
        "status": {
            "identity": ROLE,
            "expiresAt": "2026-11-27T13:30:00Z",
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Refreshed", "message": "Good."},
                {"type": "Refreshing", "status": "False", "reason": "AccessDenied", "message": "The cloud said no."},
            ],
        },
    }
    new = {"metadata": {"name": "new"}, "spec": failing["spec"]}
    text = render.as_text([render.as_json(failing), render.as_json(new)], NOW)
    head, first, second, note = text.splitlines()
    assert head.split("  ")[0] == "NAME"
    assert "False (AccessDenied)" in first
    assert first.endswith("1h 30min")
    assert second.split()[-1] == "-"
    assert note == "ecr: The cloud said no."
    assert "Add one" in render.as_text([], NOW)
