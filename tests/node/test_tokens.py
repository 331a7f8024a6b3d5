"""Passwords that end, on a real node: a registry takes what the clouds' fakes have issued, and only until its end."""

import base64
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.cli.registries import TokenService, served
from tests.cluster import ControlPlane, Place, Registry, images, wait_for
from tests.cluster.installation import NAMESPACE, Installation
from tests.node.pods import run_pod, wait_reason, wait_running
from tests.node.shell import Shell
from tests.tokens.fakes import aliyun, aws, azure, google, plugin
from tests.tokens.fakes.cloud import FakeCloud, Fault
from tests.tokens.fakes.hosts import HOSTS
from tests.tokens.fakes.reviewed import reviewed_by
from tests.tokens.fakes.threaded import running_cloud
from tests.tokens.test_providers import ENDPOINTS, SECRETS

pytestmark = [pytest.mark.usefixtures("able_machine", "node"), pytest.mark.timeout(900)]

PLUGIN = "vendor-credential-provider"
PUSHER = {"pusher": "push"}
SLACK_SECONDS = 3.0
"""The clouds say times in whole seconds."""


@dataclass(frozen=True)
class Vendor:
    cloud: type[FakeCloud]
    host: str
    user: str
    options: str
    """Of `sutler registry add`."""


VENDORS = {
    "ecr": Vendor(aws.FakeAws, HOSTS["ecr"], "AWS", f"--ecr --identity account:puller --role {aws.ROLE}"),
    "ecr-public": Vendor(aws.FakeAws, HOSTS["ecrPublic"], "AWS", "--ecr-public --identity secret:aws"),
    "artifact-registry": Vendor(
        google.FakeGoogle,
        HOSTS["artifactRegistry"],
        "oauth2accesstoken",
        f"--artifact-registry --identity account:puller --audience {google.AUDIENCE}",
    ),
    "acr": Vendor(
        azure.FakeAzure,
        HOSTS["acr"],
        "00000000-0000-0000-0000-000000000000",
        f"--acr --identity account:puller --tenant {azure.TENANT} --client {azure.CLIENT}",
    ),
    "aliyun": Vendor(
        aliyun.FakeAliyun,
        HOSTS["aliyun"],
        "cr_temp_user",
        f"--aliyun --identity account:puller --role {aliyun.ROLE} --oidc-provider {aliyun.PROVIDER}",
    ),
    "exec": Vendor(plugin.FakePluginVendor, "registry.example.com", plugin.USER, f"--exec {PLUGIN}"),
}
Clouds = dict[type[FakeCloud], FakeCloud]


@pytest.fixture(scope="module")
def clouds(control_plane: ControlPlane, place: Place) -> Iterator[Clouds]:
    """One of each, where the node is. They trust the cluster's issuer."""
    trusted = reviewed_by(control_plane, f"{NAMESPACE}:puller")
    with ExitStack() as stack:
        kinds = {vendor.cloud for vendor in VENDORS.values()}
        yield {kind: stack.enter_context(running_cloud(kind(trusted=trusted), place)) for kind in kinds}


@pytest.fixture(scope="module")
def registries(clouds: Clouds, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """One registry behind all of their hosts."""

    def is_right(user: str, password: str) -> bool:
        issuers = (clouds[vendor.cloud] for vendor in VENDORS.values() if vendor.user == user)
        return PUSHER.get(user) == password or any(cloud.is_good(password) for cloud in issuers)

    state = tmp_path_factory.mktemp("registry")
    with ThreadPoolExecutor(1, initializer=place.enter) as inside:
        service = inside.submit(TokenService, place.port(), state, is_right).result()
    with served(service):
        registry = Registry(state, place, PUSHER, service.auth_of_registry)
        registry.start()
        for name in VENDORS:
            registry.push(f"{name}/app:1", images.write_image(state / "app.tar", files={"www/of": name}))
        yield {vendor.host: registry.port for vendor in VENDORS.values()}
        registry.stop()


@pytest.fixture(scope="module")
def installation(
    control_plane: ControlPlane, place: Place, clouds: Clouds, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    installed = Installation(control_plane, None, place, tmp_path_factory.mktemp("sutler"), manifests="overlays/tokens")
    vendor, folder = clouds[plugin.FakePluginVendor], installed.state / "plugins"
    assert isinstance(vendor, plugin.FakePluginVendor)
    vendor.install(folder, PLUGIN)
    endpoints = ",".join(f"{name}={clouds[kind].url}" for kind, names in ENDPOINTS.items() for name in names)
    try:
        installed.apply()
        key = [f"--from-literal={name}={value.decode().strip()}" for name, value in SECRETS["aws"].items()]
        control_plane.kubectl("create", "secret", "generic", "aws", "-n", NAMESPACE, *key)
        installed.secrets = installed.run("secrets", "--log-level", "debug")
        installed.webhook = installed.run("webhook", "--log-level", "debug")
        options = ["--endpoints", endpoints, "--plugin-folder", str(folder), "--log-level", "debug"]
        installed.tokens = installed.run("tokens", *options)
        yield installed
    finally:
        installed.stop()


class Story:
    """Some vendors, side by side: their time is the same for all."""

    def __init__(
        self, names: Sequence[str], control_plane: ControlPlane, clouds: Clouds, shell: Shell, namespace: str
    ) -> None:
        self.names = names
        self._control_plane = control_plane
        self._clouds = clouds
        self._shell = shell
        self._namespace = namespace

    def cloud(self, name: str) -> FakeCloud:
        return self._clouds[VENDORS[name].cloud]

    def is_good(self, name: str, password: str) -> bool:
        return self.cloud(name).is_good(password)

    def add(self) -> None:
        for name in self.names:
            self._shell.type(f"sutler registry add {VENDORS[name].host} --name {name} {VENDORS[name].options}")

    def remove(self) -> None:
        self._shell.type(f"sutler registry remove {' '.join(self.names)}")

    def refresh(self, *, status: int = 0) -> None:
        self._shell.type(f"sutler token refresh {' '.join(self.names)}", status=status)

    def passwords(self) -> dict[str, str]:
        """In the copies of the Pods' namespace; empty where there is none."""
        return {name: self._password(name) for name in self.names}

    def _password(self, name: str) -> str:
        secret = self._control_plane.there(f"/api/v1/namespaces/{self._namespace}/secrets/{name}")
        auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"] if secret else {}
        return "".join(base64.b64decode(entry["auth"]).decode().partition(":")[2] for entry in auths.values())

    def wait_passwords(self, but: dict[str, str], timeout: float = 60.0) -> dict[str, str]:
        """Those of all vendors, once they are good and others than `but`."""

        def found() -> dict[str, str] | None:
            held = self.passwords()
            new = all(held[name] != but.get(name) and self.is_good(name, held[name]) for name in self.names)
            return held if new else None

        return wait_for(found, "new passwords in the copies", timeout)

    def run_pods(self, suffix: str, *, refused: bool = False) -> None:
        """Their images are pulled from the registry, also if the node has them."""
        pods = [self._run_pod(name, f"{name}-{suffix}") for name in self.names]
        for pod in pods:
            if refused:
                wait_reason(self._control_plane, self._namespace, pod, "ErrImagePull")
            else:
                wait_running(self._control_plane, self._namespace, pod)

    def _run_pod(self, name: str, pod: str) -> str:
        """Created again where the API server of a busy machine did not wait for the webhook."""

        def has_pull_secret() -> bool:
            run_pod(self._control_plane, self._namespace, f"{VENDORS[name].host}/{name}/app:1", name=pod)
            found = self._control_plane.kubectl_json("get", "pod", pod, "-n", self._namespace)
            if found["spec"].get("imagePullSecrets") == [{"name": name}]:
                return True
            force = ("--grace-period=0", "--force")
            self._control_plane.kubectl("delete", "pod", pod, "-n", self._namespace, *force)
            return False

        wait_for(has_pull_secret, f"Pod {pod} with its pull secret")
        return pod

    def conditions(self, kind: str) -> dict[str, tuple[str, str]]:
        """The status and the reason by the vendor's name."""
        found = self._control_plane.kubectl_json("get", "registrytokens")["items"]
        listed = {each["metadata"]["name"]: each.get("status", {}).get("conditions", []) for each in found}
        return {
            name: next(((each["status"], each["reason"]) for each in listed[name] if each["type"] == kind), ("", ""))
            for name in self.names
        }

    def wait_conditions(self, kind: str, status: str, timeout: float = 60.0) -> None:
        wait_for(
            lambda: all(found == status for found, _ in self.conditions(kind).values()), f"{kind} {status}", timeout
        )

    def go_away(self) -> None:
        for name in self.names:
            self.cloud(name).faults["*"] = Fault(503)

    def come_back(self) -> None:
        for name in self.names:
            self.cloud(name).faults.clear()

    def watch_ready_fall(self, passwords: dict[str, str]) -> None:
        """Wait until Ready is False for all, which it must not be for one before its password's end."""
        ends = {name: self.cloud(name).issued[password] for name, password in passwords.items()}

        def fallen() -> bool:
            found = self.conditions("Ready")
            early = {
                name: found[name]
                for name, end in ends.items()
                if found[name][0] != "True" and time.time() < end - SLACK_SECONDS
            }
            assert early == {}
            return all(each == ("False", "CredentialExpired") for each in found.values())

        wait_for(fallen, "the ends of all passwords", max(ends.values()) - time.time() + 30)


@pytest.fixture
def story(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    clouds: Clouds,
    installation: Installation,
    shell: Shell,
    namespace: str,
) -> Iterator[Story]:
    """Afterwards no password that was issued is in a log, a status, an event or a metric."""
    made = Story(request.param, control_plane, clouds, shell, namespace)
    made.add()
    yield made
    made.come_back()
    processes = [installation.secrets, installation.webhook, installation.tokens]
    said = "".join(each.log_text() + each.probe("metrics")[1] for each in processes)
    for kind in ("registrytokens", "registrymappings", "events", "pods"):
        said += json.dumps(control_plane.kubectl_json("get", kind, "-A"))
    made.remove()
    assert "canary" not in said
    assert "eyJhbGciOi" not in said


@pytest.mark.long
@pytest.mark.parametrize("story", [list(VENDORS)], indirect=True)
def test_pod_runs_by_each_password_and_by_none_that_has_ended(story: Story, shell: Shell) -> None:
    first = story.wait_passwords({})
    story.run_pods("first")
    for name, password in first.items():
        story.cloud(name).issued[password] = 0.0
    story.run_pods("refused", refused=True)
    story.go_away()
    story.refresh(status=1)
    assert {f"RegistryToken {name}" for name in story.names} <= shell.doctor().keys()
    assert story.passwords() == first
    assert set(story.conditions("Ready").values()) == {("True", "Refreshed")}
    story.come_back()
    story.refresh()
    story.wait_passwords(first)
    story.run_pods("second")


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("story", "life_seconds"),
    [
        pytest.param([name for name in VENDORS if name != "exec"], 70.0, id="clouds"),
        # An answer of a plug-in is kept for five minutes at least.
        pytest.param(["exec"], 600.0, id="exec"),
    ],
    indirect=["story"],
)
def test_token_is_refreshed_by_itself_and_outlives_its_endpoint_until_its_end(
    story: Story, life_seconds: float
) -> None:
    before = story.wait_passwords({})
    for name in story.names:
        story.cloud(name).life_seconds = life_seconds
    story.refresh()
    first = story.wait_passwords(before)
    story.run_pods("first")
    second = story.wait_passwords(first, life_seconds)
    story.go_away()
    wait_for(lambda: not any(story.is_good(*each) for each in first.items()), "the first passwords' ends", life_seconds)
    assert story.passwords() == second
    story.run_pods("second")
    story.watch_ready_fall(second)
    story.come_back()
    story.wait_passwords(second, life_seconds)
    story.wait_conditions("Ready", "True")
    story.run_pods("third")
