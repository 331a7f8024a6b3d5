"""Sutler in a cluster as the guide installs it, changed only where there is no image to run in Pods.

The manifests are applied as they are but for the Deployments: the commands of these run beside the cluster, each with a
token of its own account and so with exactly the rights that the manifests give it; the webhook is registered by URL.
"""

import base64
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.ceph import Ceph
from tests.cluster.ceph_keys import Capabilities
from tests.cluster.control_plane import ControlPlane
from tests.cluster.environment import Environment
from tests.cluster.errors import ClusterError
from tests.cluster.place import Place
from tests.cluster.sutler import SutlerProcess

REPOSITORY = Path(__file__).parents[2]
NAMESPACE = "sutler-system"
_DEPLOYMENT = "Deployment"
_NEEDS_AN_IMAGE = {_DEPLOYMENT, "Service", "PodDisruptionBudget"}
# Shorter than by default, so that after a kill the next one takes over within seconds.
_LEASE = ("--lease-duration", "6", "--renew-deadline", "4", "--retry-period", "1")
_WEBHOOK = "MutatingWebhookConfiguration"
_IMAGES: Capabilities = {"mon": "profile rbd", "osd": "profile rbd", "mgr": "profile rbd"}
_POOLS: Capabilities = {"mon": "allow rw", "osd": "profile rbd"}


class Installation:
    """The processes of one control plane, by the name of their account without `sutler-`.

    Args:
        control_plane: where the manifests are applied.
        ceph: gets a user for each account that works with it; None where none does.
        place: where the processes run.
        state: folder for what they keep and log.
        environment: what they run from. Default: the working tree.
        manifests: the folder that is applied, below manifests/.
        source: the tree whose manifests and processes these are. Default: the working tree.
    """

    webhook: SutlerProcess
    secrets: SutlerProcess
    volumes: SutlerProcess
    api: SutlerProcess
    tokens: SutlerProcess
    """Only where an overlay has it, and after `run`."""

    def __init__(
        self,
        control_plane: ControlPlane,
        ceph: Ceph | None,
        place: Place,
        state: Path,
        environment: Environment | None = None,
        manifests: str = "base",
        source: Path = REPOSITORY,
    ) -> None:
        self.control_plane = control_plane
        self.place = place
        self.state = state
        self._ceph = ceph
        self._environment = environment
        self._source = source
        self._manifests = source / "manifests" / manifests
        self._running: list[SutlerProcess] = []

    def start(self) -> None:
        """Apply the manifests, start the processes, wait until each is ready."""
        try:
            self.apply()
            self.webhook = self.launch("webhook")
            self.secrets = self.launch("secrets", *_LEASE)
            self.volumes = self.launch_volumes()
            users = {"sutler-api": _IMAGES, "sutler-pools": _POOLS}
            self.api = self.launch("api", *self._ceph_user("api", users), "--pools-user", "sutler-pools")
            for process in self._running:
                process.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the processes; a registration without a server would only slow down who creates Pods later."""
        for process in reversed(self._running):
            process.stop()
        self._running.clear()
        self.control_plane.kubectl("delete", _WEBHOOK, "sutler-webhook", "--ignore-not-found")

    def apply(self, *, upgrade: bool = False, definitions: bool = True) -> None:
        """Apply the manifests; with `upgrade` over those of another release, whose objects stay."""
        if definitions:
            self.control_plane.apply_crds(self._source / "manifests" / "crds")
        self._rendered = _rendered(self._manifests)
        if not upgrade:
            self._forget_earlier_ones()
        self._apply([one for one in self._rendered if one["kind"] not in {*_NEEDS_AN_IMAGE, _WEBHOOK}])

    def run(self, account: str, *flags: str) -> SutlerProcess:
        """Start what the account's Deployment runs, with `flags` added, and wait until it is ready."""
        process = self.launch(account, *flags)
        try:
            process.wait_ready()
        except BaseException:
            process.stop()
            raise
        return process

    def launch(self, account: str, *flags: str, register: bool = True) -> SutlerProcess:
        """The same without waiting, so that several can come up at once. `stop` ends it, ready or not.

        The webhook is registered before it is ready; with `register` False it is not.
        """
        command, variables = self._command(f"sutler-{account}")
        state = self.state / account
        state.mkdir(parents=True, exist_ok=True)
        process = SutlerProcess(
            [*command, *flags],
            kubeconfig=self.control_plane.kubeconfig_for(NAMESPACE, f"sutler-{account}"),
            place=self.place,
            state=state,
            env=variables,
            python=self._environment.python if self._environment else None,
            source=self._source,
        )
        if account == "webhook" and register:
            self.register(process)
        process.launch()
        self._running.append(process)
        return process

    def register(self, webhook: SutlerProcess, timeout: int | None = None) -> None:
        """New objects of the cluster are sent to this process from now on. `timeout`: seconds."""
        changed = {"timeoutSeconds": timeout} if timeout else {}
        self._apply([_by_url(one, webhook.url, changed) for one in self._rendered if one["kind"] == _WEBHOOK])

    def launch_volumes(self) -> SutlerProcess:
        return self.launch("volumes", *self._ceph_user("volumes", {"sutler": _IMAGES}), *_LEASE)

    def api_access(self) -> dict[str, str]:
        """What `sutler` and curl need to use the REST API as its administrator, by the names of the variables."""
        stored = self.control_plane.kubectl_json("-n", NAMESPACE, "get", "secret", "sutler-api-certificate")
        authority = self.state / "api" / "ca.crt"
        authority.write_bytes(base64.b64decode(stored["data"]["ca.crt"]))
        self._apply(_console())
        config = yaml.safe_load(self.control_plane.kubeconfig_for("default", "console").read_text())
        token = config["users"][0]["user"]["token"]
        return {"SUTLER_API_URL": self.api.url, "SUTLER_API_CA": str(authority), "SUTLER_API_TOKEN": token}

    def _forget_earlier_ones(self) -> None:
        """Tests share a cluster, and begin without the mappings, sources and certificates of those before them."""
        self.control_plane.kubectl("delete", "registrymappings", "--all")
        others = "type!=kubernetes.io/service-account-token"
        self.control_plane.kubectl("-n", NAMESPACE, "delete", "secrets", "--field-selector", others)

    def _command(self, deployment: str) -> tuple[list[str], dict[str, str]]:
        """What follows `python3 -m` in the Deployment's one container, and its variables."""
        (found,) = (
            one for one in self._rendered if (one["kind"], one["metadata"]["name"]) == (_DEPLOYMENT, deployment)
        )
        (container,) = found["spec"]["template"]["spec"]["containers"]
        words = [*container["command"], *container.get("args", [])]
        if words[:2] != ["python3", "-m"]:
            raise ClusterError(f"{deployment} runs {words}: expected python3 -m …")
        return words[2:], {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}

    def _ceph_user(self, account: str, users: Mapping[str, Capabilities]) -> tuple[str, str]:
        if self._ceph is None:
            raise ClusterError(f"sutler-{account} needs a Ceph, and this installation has none")
        return "--ceph-conf", str(self._ceph.client_conf(self.state / account / "ceph", users))

    def _apply(self, objects: list[Any]) -> None:
        self.control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))


def _rendered(folder: Path) -> list[Any]:
    """As kubectl's own kustomize renders it."""
    command = ["kubectl", "kustomize", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if ran.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {ran.stderr.strip()}")
    return list(yaml.load_all(ran.stdout, yaml.CSafeLoader))


def _console() -> list[Any]:
    """An account that may do everything over the REST API."""
    account = {"name": "console", "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sutler-api-admin"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "console"},
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ]


def _by_url(configuration: Any, url: str, changed: Mapping[str, Any]) -> Any:
    """The same paths at `url` instead of a Service's, with `changed` fields."""
    webhooks = []
    for webhook in configuration["webhooks"]:
        path = webhook["clientConfig"]["service"].get("path", "/")
        webhooks.append({**webhook, "clientConfig": {"url": f"{url}{path}"}, **changed})
    return {**configuration, "webhooks": webhooks}
