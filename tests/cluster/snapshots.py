"""The snapshot-controller of Kubernetes, which every cluster with snapshots has once, and its kinds."""

from pathlib import Path

from tests.cluster import go
from tests.cluster.control_plane import ControlPlane
from tests.cluster.process import Process

_TESTBED = go.Testbed("snapshot-controller")
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_KINDS = ("volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses")


class SnapshotControllerProcess:
    """It runs as the cluster's administrator, without a lease: there is one."""

    def __init__(self, control_plane: ControlPlane, state: Path) -> None:
        self._control_plane = control_plane
        self._log = state / "snapshot-controller.log"

    def start(self) -> None:
        folder = _TESTBED.ensured()
        install_kinds(self._control_plane)
        kubeconfig = str(self._control_plane.kubeconfig)
        argv: list[str | Path] = [
            folder / "snapshot-controller",
            "--kubeconfig",
            kubeconfig,
            "--leader-election=false",
            "-v=3",
        ]
        # Its own delay between two attempts is made for clusters with thousands of snapshots.
        argv += ["--retry-interval-start=200ms", "--retry-interval-max=5s"]
        # How long it waits for the kinds of snapshots of groups, which are not installed.
        argv.append("--retry-crd-interval-max=1s")
        self.process = Process.started(argv, place=self._control_plane.place, log=self._log)
        self.process.until(lambda: "Starting snapshot controller" in self._log.read_text(), "the snapshot-controller")

    def stop(self) -> None:
        self.process.stop()


def install_kinds(control_plane: ControlPlane) -> None:
    folder = _TESTBED.module("github.com/kubernetes-csi/external-snapshotter/client/v8") / "config" / "crd"
    files = {kind: folder / f"snapshot.storage.k8s.io_{kind}.yaml" for kind in _KINDS}
    for kind, file in files.items():
        if control_plane.there(f"{_CRDS}/{kind}.snapshot.storage.k8s.io") is None:
            # Without a check of its fields: older servers know none of its rules.
            control_plane.kubectl("create", "--validate=false", "-f", str(file))
    control_plane.wait_served(files.values())
