"""The process on a real API server, with its own account's rights and real tokens of ServiceAccounts."""

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sutler.cli.registry.token_objects import TokenObjects
from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for
from tests.conftest import REPOSITORY
from tests.tokens.fakes.aws import ROLE, FakeAws
from tests.tokens.fakes.cloud import Fault
from tests.tokens.fakes.hosts import HOSTS
from tests.tokens.fakes.reviewed import reviewed_by
from tests.tokens.fakes.threaded import running_cloud

Json = dict[str, Any]

OWN = "sutler-system"
QUICK = ["--lease-duration", "3", "--renew-deadline", "2", "--retry-period", "0.5"]
SPEC = {
    "secretName": "ecr-credentials",
    "registries": [HOSTS["ecr"]],
    "ecr": {"roleARN": ROLE, "identity": {"serviceAccountName": "ecr-puller"}},
}
OBJECTS = TokenObjects("ecr", OWN, SPEC)


@pytest.fixture(scope="module")
def account(control_plane: ControlPlane, crds: None) -> Path:  # noqa: ARG001 - its account may read our kinds
    """A kubeconfig with the rights of the component and no others."""
    manifests = REPOSITORY / "manifests"
    for file in (manifests / "base" / "namespace.yaml", manifests / "components" / "tokens" / "rbac.yaml"):
        control_plane.kubectl("apply", "-f", str(file))
    return control_plane.kubeconfig_for(OWN, "sutler-tokens")


@pytest.fixture
def cloud(control_plane: ControlPlane) -> Iterator[FakeAws]:
    with running_cloud(FakeAws(trusted=reviewed_by(control_plane, f"{OWN}:ecr-puller"))) as cloud:
        yield cloud


@pytest.fixture
def process(account: Path, cloud: FakeAws, place: Place, tmp_path: Path) -> Iterator[SutlerProcess]:
    endpoints = ",".join(f"{name}={cloud.url}" for name in ("ecr", "aws-sts"))
    argv = ["provisioner", "tokens", "--namespace", OWN, "--log-level", "debug", *QUICK, "--endpoints", endpoints]
    made = SutlerProcess(argv, account, place, tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def token(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    listed = {"apiVersion": "v1", "kind": "List", "items": OBJECTS.manifests()}
    control_plane.kubectl("create", "-f", "-", input=json.dumps(listed))
    yield control_plane
    control_plane.kubectl("delete", "-f", "-", "--wait=true", input=json.dumps(listed))


def condition(control_plane: ControlPlane, kind: str = "Ready") -> tuple[str, str]:
    found = control_plane.kubectl_json("get", "registrytoken", "ecr").get("status", {}).get("conditions", [])
    current: Json = next((each for each in found if each["type"] == kind), {})
    return current.get("status", ""), current.get("reason", "")


def passwords(control_plane: ControlPlane) -> list[str]:
    secret = control_plane.kubectl_json("get", "secret", OBJECTS.secret_name, "-n", OWN)
    auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    return [base64.b64decode(each["auth"]).decode().partition(":")[2] for each in auths.values()]


def wait_condition(control_plane: ControlPlane, expected: tuple[str, str], kind: str = "Ready") -> None:
    wait_for(lambda: condition(control_plane, kind) == expected, f"{kind} to be {expected}", 40)


def test_token_comes_by_the_rights_of_its_own_role(token: ControlPlane, cloud: FakeAws, process: SutlerProcess) -> None:
    wait_condition(token, ("True", "Refreshed"))
    (password,) = passwords(token)
    assert cloud.is_good(password)
    said = process.log_text() + "".join(process.probe(what)[1] for what in ("metrics", "readyz"))
    said += json.dumps(token.kubectl_json("get", "registrytoken", "ecr"))
    said += json.dumps(token.kubectl_json("get", "events", "-n", "default"))
    assert "canary" not in said
    assert "eyJhbGciOi" not in said


def test_without_its_role_it_says_so_and_comes_round_when_it_is_there(
    token: ControlPlane, process: SutlerProcess
) -> None:
    token.kubectl("delete", "rolebinding", OBJECTS.role_name, "-n", OWN)
    token.kubectl("annotate", "registrytoken", "ecr", "sutler.dev/refresh-requested-at=1")
    wait_condition(token, ("False", "SecretMissing"))
    assert process.ready()
    token.kubectl("create", "-f", "-", input=json.dumps(OBJECTS.role_binding()))
    wait_condition(token, ("True", "Refreshed"))


def test_cloud_that_is_away_leaves_the_last_token(token: ControlPlane, cloud: FakeAws, process: SutlerProcess) -> None:
    wait_condition(token, ("True", "Refreshed"))
    held = passwords(token)
    cloud.faults["*"] = Fault(503)
    token.kubectl("annotate", "registrytoken", "ecr", "sutler.dev/refresh-requested-at=2")
    wait_condition(token, ("False", "EndpointFailed"), "Refreshing")
    assert condition(token) == ("True", "Refreshed")
    assert passwords(token) == held
    cloud.faults.clear()
    wait_condition(token, ("True", "Scheduled"), "Refreshing")
    assert passwords(token) != held
    assert process.ready()


@pytest.mark.parametrize("at", [1, 2])
def test_killed_at_a_request_the_secret_is_whole(
    token: ControlPlane, cloud: FakeAws, process: SutlerProcess, at: int
) -> None:
    """SIGKILL while the cloud is asked, for the role or for the token: the Secret is the old one, then the new one."""
    wait_condition(token, ("True", "Refreshed"))
    held, asked = passwords(token), len(cloud.requests)

    killed = threading.Event()

    def kill(_: str) -> None:
        if len(cloud.requests) == asked + at:
            process.kill9()
            killed.set()

    cloud.on_request = kill
    token.kubectl("annotate", "registrytoken", "ecr", f"sutler.dev/refresh-requested-at=killed-{at}")
    wait_for(killed.is_set, "the request and the kill")
    assert passwords(token) == held
    cloud.on_request = None
    process.restart()
    wait_for(lambda: passwords(token) != held, "the new token", 40)
    assert all(map(cloud.is_good, passwords(token)))
