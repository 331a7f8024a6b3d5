"""Sutler in a cluster as the README installs it, changed only where there is no image to run in Pods.

The manifests are applied as they are but for the Deployments: the same processes run beside the cluster, each with a
token of its own account and so with exactly the rights that the manifests give it; the webhook is registered by URL.
"""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.ceph import Ceph
from tests.cluster.control_plane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.place import Place
from tests.cluster.sutler import SutlerProcess

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACE = "sutler-system"
_NEEDS_AN_IMAGE = {"Deployment", "Service", "PodDisruptionBudget"}
# Shorter than by default, so that after a kill the next one takes over within seconds.
_LEASE = ("--lease-duration", "6", "--renew-deadline", "4", "--retry-period", "1")
_WEBHOOK = "MutatingWebhookConfiguration"


class Installation:
    """The four processes of one control plane, by the name of their account without `sutler-`."""

    def __init__(self, control_plane: ControlPlane, ceph: Ceph, place: Place, state: Path) -> None:
        self.control_plane = control_plane
        self.place = place
        self.state = state
        self._ceph = ceph
        self._running: list[SutlerProcess] = []

    def start(self) -> None:
        """Apply the manifests, start the processes, wait until each is ready."""
        try:
            self.apply()
            self.webhook = self.run("webhook", "webhook")
            self.secrets = self.run("secrets", "provisioner", "secrets", *_LEASE)
            self.volumes = self.run("volumes", "provisioner", "volumes", "--ceph-conf", str(self._ceph.conf), *_LEASE)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for process in reversed(self._running):
            process.stop()
        self._running.clear()

    def apply(self) -> None:
        crds = str(MANIFESTS / "crds")
        self.control_plane.kubectl("apply", "-f", crds)
        self.control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
        self._rendered = _rendered()
        self._apply([one for one in self._rendered if one["kind"] not in {*_NEEDS_AN_IMAGE, _WEBHOOK}])

    def run(self, account: str, *module_args: str) -> SutlerProcess:
        """Start one process as its account and wait until it is ready."""
        kubeconfig = self.control_plane.kubeconfig_for(NAMESPACE, f"sutler-{account}")
        state = self.state / account
        state.mkdir(parents=True, exist_ok=True)
        process = SutlerProcess(module_args, kubeconfig=kubeconfig, place=self.place, state=state)
        if account == "webhook":
            self._apply([_by_url(one, process.url) for one in self._rendered if one["kind"] == _WEBHOOK])
        process.start()
        self._running.append(process)
        return process

    def _apply(self, objects: list[Any]) -> None:
        self.control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))


def _rendered() -> list[Any]:
    """The base as kubectl's own kustomize renders it."""
    command = ["kubectl", "kustomize", str(MANIFESTS / "base")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if ran.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {ran.stderr.strip()}")
    return list(yaml.safe_load_all(ran.stdout))


def _by_url(configuration: Any, url: str) -> Any:
    """The same paths at `url` instead of a Service's."""
    webhooks = []
    for webhook in configuration["webhooks"]:
        path = webhook["clientConfig"]["service"].get("path", "/")
        webhooks.append({**webhook, "clientConfig": {"url": f"{url}{path}"}})
    return {**configuration, "webhooks": webhooks}
