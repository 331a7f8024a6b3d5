"""The programs that Sutler meets in clusters are built from their own modules, and run."""

import subprocess

import pytest

from tests.cluster import go

# What each says of itself, by the option that asks for it.
SAYS = {
    "containerd": (["containerd", "--version"], "containerd"),
    "crictl": (["crictl", "--version"], "crictl version"),
    "csi-provisioner": (["csi-provisioner", "--version"], "csi-provisioner"),
    "csi-resizer": (["csi-resizer", "--version"], "csi-resizer"),
    "csi-sanity": (["csi-sanity", "--help"], "csi.endpoint"),
    "ecr-credential-provider": (["ecr-credential-provider", "--help"], "credential provider for kubelet"),
    "helm": (["helm", "version"], "Version:"),
    "helm-3": (["helm", "version"], "Version:"),
    "snapshot-controller": (["snapshot-controller", "--version"], "snapshot-controller"),
}

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def test_each_has_a_line_here() -> None:
    assert [one for one in go.names() if not one.startswith("kubernetes-")] == sorted(SAYS)


@pytest.mark.parametrize("name", sorted(SAYS))
def test_it_is_built_and_runs(name: str) -> None:
    (program, *options), says = SAYS[name]
    command = [str(go.Testbed(name).ensured() / program), *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert says in ran.stdout + ran.stderr


def test_kinds_of_snapshots_come_with_their_controller() -> None:
    kinds = go.Testbed("snapshot-controller").module("github.com/kubernetes-csi/external-snapshotter/client/v8")
    found = {one.name for one in (kinds / "config" / "crd").glob("snapshot.storage.k8s.io_*.yaml")}
    assert {f"snapshot.storage.k8s.io_volumesnapshot{rest}.yaml" for rest in ("s", "contents", "classes")} <= found
