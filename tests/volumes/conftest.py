from collections.abc import Iterator

import pytest

from tests.cluster import Ceph, ControlPlane, Place, SutlerProcess
from tests.volumes.world import ARGUMENTS, World

SYSTEM = "sutler-system"


@pytest.fixture(scope="session")
def system(control_plane: ControlPlane) -> str:
    """Sutler's own namespace, where the lease is."""
    if SYSTEM not in control_plane.kubectl("get", "namespaces", "-o", "name"):
        control_plane.create_namespace(SYSTEM)
    return SYSTEM


@pytest.fixture(scope="module")
def volumes(
    control_plane: ControlPlane, ceph: Ceph, place: Place, system: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SutlerProcess]:
    """`provisioner volumes` as an administrator would run it; tests may kill and restart it."""
    started = SutlerProcess(
        [*ARGUMENTS, f"--namespace={system}"],
        control_plane.kubeconfig,
        place,
        tmp_path_factory.mktemp("volumes"),
        env={"CEPH_CONF": str(ceph.conf)},
    )
    started.start()
    yield started
    started.stop()


@pytest.fixture
def world(
    control_plane: ControlPlane, ceph: Ceph, volumes: SutlerProcess, namespace: str, pool: str
) -> Iterator[World]:
    made = World(control_plane, ceph, volumes, namespace, pool)
    yield made
    made.clean_up()
