"""Pods as kubectl's users make them, on a cluster with a webhook of ours."""

import json
import subprocess
from typing import Any

import yaml

from tests.cluster import ControlPlane, SutlerProcess, kubectl_requests, wait_for
from tests.webhook.pods import Json

APP = "quay.io/acme/app:1"


def mapping(name: str, *registries: str, selector: Json | None = None, mode: str = "Inject") -> Json:
    return {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": name},
        "spec": {
            "registries": list(registries),
            "pullSecret": {"name": f"{name}-secret"},
            "namespaceSelector": selector or {},
            "mode": mode,
        },
    }


class Cluster:
    def __init__(self, control_plane: ControlPlane, webhook: SutlerProcess, namespace: str) -> None:
        self.control_plane = control_plane
        self.webhook = webhook
        self.namespace = namespace

    def apply(self, *objects: Json) -> None:
        self.control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))

    def create(self, image: str = APP, *flags: str, metadata: Json | None = None, **spec: Any) -> tuple[Json, str]:
        """The Pod as the API server gives it back, and the warnings beside it as kubectl shows them."""
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "app-", "namespace": self.namespace} | (metadata or {}),
            "spec": {"containers": [{"name": "app", "image": image}]} | spec,
        }
        (wanted,) = kubectl_requests.requests(["create", "-f", "-", *flags], json.dumps(pod)) or []
        created, warnings = self.control_plane.warned_request(wanted.method, wanted.path, wanted.body)
        return json.loads(created), "".join(f"Warning: {one}\n" for one in warnings)

    def kubectl(self, *arguments: str, stdin: str = "") -> tuple[str, str]:
        """What it prints, and what it says beside that: the API server's warnings."""
        command = ["kubectl", f"--kubeconfig={self.control_plane.kubeconfig}", *arguments]
        ran = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout, ran.stderr

    def set_image(self, pod: str, image: str) -> str:
        """What is said beside it."""
        return self.kubectl("-n", self.namespace, "set", "image", f"pod/{pod}", f"app={image}")[1]

    def names(self, image: str = APP, *flags: str, **more: Any) -> list[str]:
        created, _ = self.create(image, *flags, **more)
        return [entry["name"] for entry in created["spec"].get("imagePullSecrets", [])]

    def until_injected(self, names: list[str], image: str = APP, **more: Any) -> None:
        """What was applied a moment ago has reached the webhook."""
        found: list[str] = []

        def reached() -> bool:
            found[:] = self.names(image, "--dry-run=server", **more)
            return found == names

        wait_for(reached, f"{image} to get {names}")

    def metric(self, name: str, **labels: str) -> float:
        text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        return self.webhook.metrics().get(f"{name}{{{text}}}" if text else name, 0.0)
