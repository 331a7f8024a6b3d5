"""A cluster with a node for each module: its own network namespace, control plane and registries."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import ControlPlane, Place, Registry, images, machine
from tests.cluster.node import Node
from tests.node.shell import Shell

HOST = "registry.cn-hangzhou.aliyuncs.com"
OTHER_HOST = "registry.example.com"
# Each registry has a user that the other one doesn't know.
USERS = {HOST: {"UserName": "Password"}, OTHER_HOST: {"Other": "Secret"}}
REPOSITORIES = ("xxxx/rbd-rest-api:latest", "xxxx/test:latest", "yyyy/other:latest")


@pytest.fixture(scope="session")
def able_machine() -> None:
    """Skips, with the reason, where a node can't run."""
    if lacks := machine.missing():
        pytest.skip(f"this machine can't run a node; it lacks {'; '.join(lacks)}")


@pytest.fixture
def shell(control_plane: ControlPlane) -> Shell:
    return Shell(control_plane)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Place.namespace() as place:
        yield place


@pytest.fixture(scope="module")
def control_plane(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    started = ControlPlane(tmp_path_factory.mktemp("kubernetes"), place)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def served(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Registry]]:
    """Two private registries."""
    archive = images.write_image(tmp_path_factory.mktemp("images") / "application.tar")
    started = {host: Registry(tmp_path_factory.mktemp(host), place, users) for host, users in USERS.items()}
    try:
        for registry in started.values():
            registry.start()
            for repository in REPOSITORIES:
                registry.push(repository, archive)
        yield started
    finally:
        for registry in started.values():
            registry.stop()


@pytest.fixture(scope="module")
def registries(served: dict[str, Registry]) -> dict[str, int]:
    """As the ports that serve them."""
    return {host: registry.port for host, registry in served.items()}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images that the node has without a pull."""
    return [extra_image(tmp_path_factory.mktemp("extra"))]


def extra_image(folder: Path) -> Path:
    """With content of its own: a new kubelet asks for a credential for what the private images consist of."""
    files = {"www/extra.html": "extra\n"}
    return images.write_image(folder / "extra.tar", "sutler.test/extra:1", files=files)


@pytest.fixture(scope="module")
def node(
    control_plane: ControlPlane,
    registries: dict[str, int],
    archives: list[Path],
    place: Place,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Node]:
    state = tmp_path_factory.mktemp("node")
    with Node(control_plane, state, place, registries=registries, archives=archives, proxy=True) as node:
        yield node
