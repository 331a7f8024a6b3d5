"""Pods, made and waited for as kubectl's users do."""

import json
from typing import Any

from tests.cluster import ControlPlane, wait_for


def run_pod(
    control_plane: ControlPlane, namespace: str, image: str, *secrets: str, policy: str = "Always", name: str = ""
) -> str:
    """`name`: by default that of the image."""
    name = name or image.rpartition("/")[2].partition(":")[0]
    spec = {
        "containers": [{"name": "application", "image": image, "imagePullPolicy": policy}],
        "imagePullSecrets": [{"name": secret} for secret in secrets],
    }
    create(control_plane, namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    return name


def create(control_plane: ControlPlane, namespace: str, *objects: dict[str, Any]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(listed))


def make_secret(
    control_plane: ControlPlane, namespace: str, name: str, *, server: str, user: str, password: str
) -> None:
    control_plane.kubectl(
        *("create", "secret", "docker-registry", name, "-n", namespace, f"--docker-server={server}"),
        *(f"--docker-username={user}", f"--docker-password={password}"),
    )


def wait_running(control_plane: ControlPlane, namespace: str, pod: str, timeout: float = 60) -> None:
    wait_for(lambda: "running" in _container_state(control_plane, namespace, pod), f"Pod {pod} to run", timeout)


def wait_reason(control_plane: ControlPlane, namespace: str, pod: str, reason: str) -> str:
    """Wait until its container waits for this reason; returns the message."""

    def message() -> str | None:
        waiting = _container_state(control_plane, namespace, pod).get("waiting", {})
        return waiting.get("message") or reason if waiting.get("reason") == reason else None

    return wait_for(message, f"Pod {pod} in {reason}", 60)


def _container_state(control_plane: ControlPlane, namespace: str, pod: str) -> dict[str, Any]:
    status = control_plane.kubectl_json("get", "pod", pod, "-n", namespace)["status"]
    state: dict[str, Any] = status.get("containerStatuses", [{"state": {}}])[0]["state"]
    return state
