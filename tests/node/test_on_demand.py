"""Copies on demand under a real kubelet: the first Pod of a namespace waits hardly longer than with eager copies."""

import secrets
import time
from collections.abc import Iterator

import pytest

from tests.cluster import ControlPlane, Place
from tests.cluster.installation import Installation
from tests.node.pods import run_pod
from tests.node.shell import Shell

HOST = "registry.cn-hangzhou.aliyuncs.com"
IMAGE = f"{HOST}/xxxx/test:latest"
PODS = 20
LATER_SECONDS = 1.0

pytestmark = [pytest.mark.usefixtures("able_machine", "node"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def installation(
    control_plane: ControlPlane, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    state = tmp_path_factory.mktemp("sutler")
    installed = Installation(control_plane, None, place, state, manifests="overlays/copies-on-demand")
    try:
        installed.apply()
        installed.run("secrets")
        installed.run("webhook")
        yield installed
    finally:
        installed.stop()


def first_pod(control_plane: ControlPlane, policy: str) -> float:
    """Seconds from the creation of the first Pod of a namespace until it runs."""
    namespace = f"{policy.lower()}-{secrets.token_hex(4)}"
    control_plane.create_namespace(namespace)
    began = time.monotonic()
    pod = run_pod(control_plane, namespace, IMAGE)
    control_plane.kubectl(
        *("wait", f"pod/{pod}", "-n", namespace, "--for=condition=Ready", "--timeout=120s"), timeout=150
    )
    took = time.monotonic() - began
    control_plane.kubectl("delete", "pod", pod, "-n", namespace, "--grace-period=0", "--force")
    control_plane.empty_namespace(namespace)
    return took


@pytest.mark.long
@pytest.mark.usefixtures("installation", "served")
def test_first_pod_of_a_namespace_waits_hardly_longer_on_demand(control_plane: ControlPlane, shell: Shell) -> None:
    """In turns, so that the machine's other work slows both. A late copy costs the kubelet's back-off of 10 seconds."""
    shell.type(f"sutler registry add {HOST} --username UserName --password-stdin --name pull", "Password")
    took: dict[str, list[float]] = {"Eager": [], "OnDemand": []}
    for _ in range(PODS):
        for policy, times in took.items():
            patch = f'{{"spec":{{"pullSecret":{{"copies":"{policy}"}}}}}}'
            control_plane.kubectl("patch", "registrymapping", "pull", "--type=merge", "-p", patch)
            times.append(first_pod(control_plane, policy))
    p95 = {policy: sorted(times)[max(0, int(0.95 * PODS) - 1)] for policy, times in took.items()}
    print(", ".join(f"{policy}: p95 {p95[policy]:.2f} s of {PODS} Pods" for policy in took))
    assert p95["OnDemand"] <= p95["Eager"] + LATER_SECONDS
