"""All Pods of all overlays run under the strictest profile, and with less than it would allow."""

import copy
from collections.abc import Callable

import pytest

from tests.manifests.rendered import BASE, KNOWS_COMPONENTS, OVERLAYS, Json, container, pods, rendered
from tests.manifests.restricted import violations

FOLDERS = {"base": BASE, **OVERLAYS}
EACH = ["base", *(pytest.param(overlay, marks=KNOWS_COMPONENTS) for overlay in OVERLAYS)]


def webhook() -> Json:
    return pods(rendered(BASE))["sutler-webhook"]


@pytest.mark.parametrize("folder", EACH)
def test_pods_are_restricted(folder: str) -> None:
    found = {name: violations(pod) for name, pod in pods(rendered(FOLDERS[folder])).items()}
    assert found
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize("folder", EACH)
def test_pods_can_write_nowhere_and_read_only_their_mounts(folder: str) -> None:
    """None needs a folder to write to: keys are loaded from memory, and nothing is kept."""
    for name, pod in pods(rendered(FOLDERS[folder])).items():
        main = container(pod)
        assert main["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert all(mount["readOnly"] for mount in main.get("volumeMounts", [])), name
        volumes = pod["spec"].get("volumes", [])
        assert all(volume.keys() in ({"name", "secret"}, {"name", "projected"}) for volume in volumes), name
        parts = [part for volume in volumes if "projected" in volume for part in volume["projected"]["sources"]]
        # Of its own account, and for an account that is named.
        assert all(part["serviceAccountToken"]["audience"] for part in parts), name
        assert pod["spec"]["enableServiceLinks"] is False, name


LOOSENED: dict[str, Callable[[Json], None]] = {
    "runAsNonRoot": lambda pod: pod["spec"]["securityContext"].pop("runAsNonRoot"),
    "seccompProfile": lambda pod: pod["spec"]["securityContext"].pop("seccompProfile"),
    "allowPrivilegeEscalation": lambda pod: container(pod)["securityContext"].pop("allowPrivilegeEscalation"),
    "capabilities.drop": lambda pod: container(pod)["securityContext"].pop("capabilities"),
    "capabilities.add": lambda pod: container(pod)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
    "privileged": lambda pod: container(pod)["securityContext"].update(privileged=True),
    "runAsUser": lambda pod: container(pod)["securityContext"].update(runAsUser=0),
    "procMount": lambda pod: container(pod)["securityContext"].update(procMount="Unmasked"),
    "seLinuxOptions": lambda pod: container(pod)["securityContext"].update(seLinuxOptions={"user": "root"}),
    "hostPort": lambda pod: container(pod)["ports"][0].update(hostPort=443),
    "hostNetwork": lambda pod: pod["spec"].update(hostNetwork=True),
    "volume host": lambda pod: pod["spec"].update(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
    "sysctl": lambda pod: pod["spec"]["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
    "AppArmor": lambda pod: pod["metadata"].update(
        annotations={"container.apparmor.security.beta.kubernetes.io/webhook": "unconfined"}
    ),
}


@pytest.mark.parametrize("what", LOOSENED)
def test_a_looser_pod_is_noticed(what: str) -> None:
    pod = copy.deepcopy(webhook())
    LOOSENED[what](pod)
    (found,) = violations(pod)
    assert what in found
