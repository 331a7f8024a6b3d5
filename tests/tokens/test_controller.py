"""The whole process in one: controller, writer and statuses, between a fake cloud and a few objects in memory."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioner.tokens import credential_cache
from provisioner.tokens.main import main
from provisioner.tokens.settings import TokensSettings
from sutler import well_known
from tests.kube.running import running
from tests.tokens.fakes.api_server import OWN, SECRETS, TOKENS
from tests.tokens.fakes.aws import ROLE
from tests.tokens.fakes.cloud import Fault
from tests.tokens.scene import REGISTRY, Scene, until

Json = dict[str, Any]


@asynccontextmanager
async def process(scene: Scene, folder: Path, free_port: int, *arguments: str) -> AsyncIterator[None]:
    endpoints = [f"{name}={scene.cloud.url}" for name in ("ecr", "aws-sts", "aws-metadata")]
    settings = TokensSettings.from_arguments(
        [
            *("--kubeconfig", scene.api.kubeconfig(folder), "--namespace", OWN),
            *("--endpoints", ",".join(endpoints), "--probe-host", "127.0.0.1", "--probe-port", str(free_port)),
            *arguments,
        ],
        program="test",
    )
    async with running(main(settings)):
        yield


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a life of seconds: the floor of a minute is too long for a test."""
    monkeypatch.setattr(credential_cache, "refresh_delay", lambda left, _: min(left / 2, 1.0))


async def test_token_gets_into_its_secret_and_the_status_says_so(
    scene: Scene, tmp_path: Path, free_port: int, logged: io.StringIO
) -> None:
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port, "--log-level", "debug"):
        await until(lambda: scene.condition() == ("True", "Refreshed"), "the token to be ready")
    assert list(scene.passwords()) == [REGISTRY]
    assert scene.has_good_token()
    status = scene.status()
    assert scene.condition("Refreshing") == ("True", "Scheduled")
    assert status["identity"] == ROLE
    assert scene.api.objects[f"{SECRETS}/pull"]["metadata"]["annotations"][well_known.EXPIRES_AT] == status["expiresAt"]
    assert status["refreshedAt"] < status["nextRefresh"] < status["expiresAt"]
    for text in (logged.getvalue(), json.dumps(status)):
        assert "canary" not in text
        assert "eyJ" not in text


async def test_token_is_refreshed_in_place_before_its_end(
    scene: Scene, tmp_path: Path, free_port: int, quick: None
) -> None:
    del quick
    scene.cloud.life_seconds = 61.0
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(scene.has_good_token, "the first token")
        first, uid = scene.passwords(), scene.api.objects[f"{SECRETS}/pull"]["metadata"]["uid"]
        await until(lambda: scene.passwords() != first, "the second token")
    assert scene.has_good_token()
    assert scene.api.objects[f"{SECRETS}/pull"]["metadata"]["uid"] == uid


@pytest.mark.usefixtures("quick")
async def test_endpoint_that_fails_leaves_the_last_token_and_heals_without_a_restart(
    scene: Scene, tmp_path: Path, free_port: int
) -> None:
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition() == ("True", "Refreshed"), "the token to be ready")
        scene.cloud.faults["*"] = Fault(500, b"canary")
        await until(lambda: scene.condition("Refreshing") == ("False", "EndpointFailed"), "the failure to be said")
        assert scene.condition() == ("True", "Refreshed")
        assert scene.has_good_token()
        assert "canary" not in json.dumps(scene.status())
        scene.cloud.faults.clear()
        await until(lambda: scene.condition("Refreshing") == ("True", "Scheduled"), "the next token")
    assert scene.status()["lastError"]["reason"] == "EndpointFailed"


@pytest.mark.usefixtures("quick")
async def test_token_that_has_ended_is_said_and_stays(scene: Scene, tmp_path: Path, free_port: int) -> None:
    """An absent key would make the kubelet pull without credentials: another error, harder to read."""
    scene.cloud.life_seconds = 62.0
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(scene.has_good_token, "the token")
        scene.cloud.faults["*"] = Fault(503)
        held = scene.passwords()
        await until(lambda: scene.condition("Refreshing")[0] == "False", "the failure to be said")
    # The end is an hour ago by the status that the next process finds.
    status = scene.status()
    status["expiresAt"] = "2020-01-01T00:00:00Z"
    scene.api.put(f"{TOKENS}/ecr", {**scene.api.objects[f"{TOKENS}/ecr"], "status": status})
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition()[0] == "False", "the end to be said")
        assert scene.passwords() == held


async def test_good_token_is_not_fetched_again_after_a_restart(scene: Scene, tmp_path: Path, free_port: int) -> None:
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition() == ("True", "Refreshed"), "the token to be ready")
    asked, writes = len(scene.cloud.requests), scene.writes("/secrets/pull")
    async with process(scene, tmp_path, free_port):
        scene.api.requests.clear()
        await until(lambda: f"GET {SECRETS}/pull" in scene.api.requests, "the read of the Secret")
        await asyncio.sleep(0.3)  # the length of the observation
    assert (len(scene.cloud.requests), scene.writes("/secrets/pull")) == (asked, writes)


async def test_two_objects_with_one_identity_share_one_token(scene: Scene, tmp_path: Path, free_port: int) -> None:
    for name in ("one", "two"):
        scene.secret(name, name)
        scene.token(name, secretName=name)
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition(name="one")[0] == scene.condition(name="two")[0] == "True", "both")
    assert scene.passwords("one") == scene.passwords("two")
    assert scene.cloud.requests == ["POST /", "POST /"]
    assert scene.status("one")["expiresAt"] == scene.status("two")["expiresAt"]


async def test_refresh_that_is_asked_for_gets_a_newer_token(scene: Scene, tmp_path: Path, free_port: int) -> None:
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition()[0] == "True", "the token")
        first = scene.passwords()
        scene.request_refresh()
        await until(lambda: scene.status().get("refreshRequest") == "now", "the request to be served")
    assert scene.passwords() != first


async def test_requested_refresh_that_fails_is_not_served_by_the_token_from_before(
    scene: Scene, tmp_path: Path, free_port: int
) -> None:
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition()[0] == "True", "the token")
        first = scene.passwords()
        scene.cloud.faults["*"] = Fault(503)
        asked = len(scene.cloud.requests)
        scene.request_refresh()
        await until(lambda: len(scene.cloud.requests) >= asked + 3, "two retries")
        assert scene.condition("Refreshing") == ("False", "EndpointFailed")
        assert scene.condition() == ("True", "Refreshed")
        assert scene.passwords() == first
        scene.cloud.faults.clear()
        await until(lambda: scene.condition("Refreshing") == ("True", "Scheduled"), "the new token")
    assert scene.passwords() != first


async def test_secret_that_was_emptied_or_overwritten_is_repaired_without_a_new_token(
    scene: Scene, tmp_path: Path, free_port: int
) -> None:
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition()[0] == "True", "the token")
        held, asked = scene.passwords(), len(scene.cloud.requests)
        scene.secret()
        # It is checked every few minutes; a change of the object has it checked now.
        scene.token(registries=[REGISTRY, f"{REGISTRY}/team"])
        await until(lambda: len(scene.passwords()) == 2, "the token to be back")
    assert scene.passwords() == dict.fromkeys((REGISTRY, f"{REGISTRY}/team"), held[REGISTRY])
    assert len(scene.cloud.requests) == asked


FOREIGN: dict[str, tuple[Json, str]] = {
    "no label": ({"metadata": {"labels": {}}}, "kubectl -n sutler-system label secret pull sutler.dev/token=ecr"),
    "another's": ({"metadata": {"labels": {well_known.TOKEN: "other"}}}, "is RegistryToken other's"),
    "another type": ({"type": "Opaque"}, "delete it and create it as kubernetes.io/dockerconfigjson"),
    "immutable": ({"immutable": True}, "is immutable"),
}


@pytest.mark.parametrize("what", FOREIGN)
async def test_secret_that_is_not_its_own_is_never_touched(
    scene: Scene, tmp_path: Path, free_port: int, what: str
) -> None:
    fields, expected = FOREIGN[what]
    scene.secret(**fields)
    scene.token()
    before = scene.api.objects[f"{SECRETS}/pull"]
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition() == ("False", "Conflict"), "the conflict to be said")
    assert scene.api.objects[f"{SECRETS}/pull"] == before
    assert scene.cloud.requests == []
    assert expected in scene.status()["conditions"][0]["message"]


async def test_missing_secret_is_said_and_found_when_it_comes(scene: Scene, tmp_path: Path, free_port: int) -> None:
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition() == ("False", "SecretMissing"), "that to be said")
        assert "create" in scene.status()["conditions"][0]["message"].lower()
        scene.secret()
        await until(lambda: scene.condition() == ("True", "Refreshed"), "the token")
    assert not [each for each in scene.api.writes if each == f"POST {SECRETS}"]


@pytest.mark.parametrize(
    ("path", "reason", "expected"),
    [
        (f"{SECRETS}/pull", "SecretMissing", "Role with resourceNames pull"),
        (f"/api/v1/namespaces/{OWN}/serviceaccounts/puller/token", "IdentityMissing", "serviceaccounts/token puller"),
    ],
)
async def test_missing_right_is_said_with_the_role(
    scene: Scene, tmp_path: Path, free_port: int, path: str, reason: str, expected: str
) -> None:
    scene.secret()
    scene.token()
    scene.api.forbidden.add(path)
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition() == ("False", reason), "the reason")
        assert expected in scene.status()["conditions"][0]["message"]
        scene.api.forbidden.clear()
        await until(lambda: scene.condition() == ("True", "Refreshed"), "the token")


async def test_wrong_object_says_so_and_does_not_stop_the_others(scene: Scene, tmp_path: Path, free_port: int) -> None:
    scene.secret()
    scene.token("wrong", registries=["evil.example"])
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition()[0] == "True", "the good one")
        await until(lambda: scene.condition(name="wrong") == ("False", "Invalid"), "the wrong one")
    assert "is not a host of ECR" in scene.status("wrong")["conditions"][0]["message"]


async def test_answer_that_ended_in_2015_makes_no_hot_loop(scene: Scene, tmp_path: Path, free_port: int) -> None:
    scene.cloud.life_seconds = -3e8
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition() == ("False", "BadExpiry"), "that to be said")
        asked = len(scene.cloud.requests)
        await asyncio.sleep(1.5)  # the length of the observation: a back-off of a second would show
    assert len(scene.cloud.requests) == asked
    assert scene.passwords() == {}


async def test_object_that_is_gone_is_forgotten(scene: Scene, tmp_path: Path, free_port: int) -> None:
    scene.secret()
    scene.token()
    async with process(scene, tmp_path, free_port):
        await until(lambda: scene.condition()[0] == "True", "the token")
        held = scene.passwords()
        scene.api.remove(f"{TOKENS}/ecr")
        await asyncio.sleep(0.3)  # the length of the observation
        assert scene.passwords() == held
        scene.token()
        await until(lambda: scene.condition()[0] == "True", "the token of the new object")
