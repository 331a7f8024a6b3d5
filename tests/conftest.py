"""Fixtures that start the real parts, each only when a test asks for it, and end them with the session."""

import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Ceph, ControlPlane, Place, Registry, binaries, needs

REPOSITORY = Path(__file__).parents[1]
# The fixtures that start something, or that tests start something with.
STARTED = frozenset({"place", "control_plane", "ceph", "registry", "node", "able_machine"})
REGISTRY_USERS = {"UserName": "Password", "Other": "Secret"}


def pytest_configure() -> None:
    """SIGTERM ends a test run as Ctrl-C does: fixtures are torn down, nothing is left behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    binaries.first_on_path()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a real part: by the fixtures that it asks for."""
    for item in items:
        if STARTED.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("cluster")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the releases of this run lack something for."""
    for marker in item.iter_markers("needs"):
        if reason := needs.lacking(**marker.kwargs):
            pytest.skip(reason)


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    with Place.host() as place:
        yield place


@pytest.fixture(scope="session")
def control_plane(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    started = ControlPlane(tmp_path_factory.mktemp("kubernetes"), place)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def ceph(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    started = Ceph(tmp_path_factory.mktemp("ceph"), place)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def registry(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    started = Registry(tmp_path_factory.mktemp("registry"), place, REGISTRY_USERS)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def crds(control_plane: ControlPlane) -> None:
    """Sutler's kinds, established."""
    folder = str(REPOSITORY / "manifests" / "crds")
    control_plane.kubectl("apply", "-f", folder)
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", folder)


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace in which Pods can be created at once; its deletion is not waited for."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.create_namespace(name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def pool(ceph: Ceph) -> Iterator[str]:
    """A fresh pool for RBD images."""
    name = ceph.pool(f"test-{secrets.token_hex(4)}")
    yield name
    ceph.remove_pool(name)
