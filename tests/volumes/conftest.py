import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import Ceph, ControlPlane, Place, SutlerProcess
from tests.cluster.snapshots import SnapshotControllerProcess
from tests.volumes.attributes_env import CLASSES, LATER
from tests.volumes.volume_env import ARGUMENTS, VolumeEnv

SYSTEM = "sutler-system"
KILLABLE = ["tests.volumes.kill_points", "volumes", "--lease-duration=1.5", "--renew-deadline=1", "--retry-period=0.3"]
KILLABLE += ["--workers=2"]
RIGHTS = Path(__file__).parents[2] / "manifests" / "base" / "volumes-rbac.yaml"


@pytest.fixture(scope="session")
def system(control_plane: ControlPlane) -> str:
    """Sutler's own namespace, where the lease is."""
    if SYSTEM not in control_plane.kubectl("get", "namespaces", "-o", "name"):
        control_plane.create_namespace(SYSTEM)
    return SYSTEM


@pytest.fixture(scope="session")
def account(control_plane: ControlPlane, system: str) -> Path:
    """A kubeconfig with the rights that an installation gives, and no others."""
    control_plane.kubectl("apply", "-f", str(RIGHTS))
    return control_plane.kubeconfig_for(system, "sutler-volumes")


@pytest.fixture(scope="session")
def start_volumes(
    account: Path, ceph: Ceph, place: Place, system: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., SutlerProcess]:
    """Makes a `provisioner volumes`, not started yet, with these further arguments; the caller stops it."""

    def make(*arguments: str) -> SutlerProcess:
        return SutlerProcess(
            [*ARGUMENTS, f"--namespace={system}", *arguments],
            account,
            place,
            tmp_path_factory.mktemp("volumes"),
            env={"CEPH_CONF": str(ceph.conf)},
        )

    return make


@pytest.fixture(scope="module")
def volumes(start_volumes: Callable[..., SutlerProcess]) -> Iterator[SutlerProcess]:
    """`provisioner volumes` as it would be installed; tests may kill and restart it."""
    started = start_volumes()
    started.start()
    yield started
    started.stop()


@pytest.fixture
def start_killable(
    control_plane: ControlPlane, ceph: Ceph, place: Place, system: str, tmp_path: Path
) -> Iterator[Callable[..., SutlerProcess]]:
    """Starts a `provisioner volumes` that kills itself at this call ("0:never"), with these further arguments."""
    started: list[SutlerProcess] = []

    def start(kill: str, *arguments: str) -> SutlerProcess:
        state = tmp_path / f"{len(started)}"
        state.mkdir()
        env = {"CEPH_CONF": str(ceph.conf), "SUTLER_TEST_KILL": kill}
        words = [*KILLABLE, f"--namespace={system}", *arguments]
        process = SutlerProcess(words, control_plane.kubeconfig, place, state, env)
        process.launch()
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def env(
    control_plane: ControlPlane, ceph: Ceph, volumes: SutlerProcess, namespace: str, pool: str
) -> Iterator[VolumeEnv]:
    made = VolumeEnv(control_plane, ceph, volumes, namespace, pool)
    yield made
    made.clean_up()


@pytest.fixture(scope="session")
def snapshot_controller(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The cluster has snapshots, as most have."""
    started = SnapshotControllerProcess(control_plane, tmp_path_factory.mktemp("snapshots"))
    started.start()
    yield
    started.stop()


@pytest.fixture(scope="module")
def attributes_classes(control_plane: ControlPlane) -> Iterator[None]:
    control_plane.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": CLASSES}))
    yield
    names = [one["metadata"]["name"] for one in CLASSES]
    control_plane.kubectl("delete", "volumeattributesclass", "--ignore-not-found", *names, LATER)
