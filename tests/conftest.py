"""Fixtures that start the real parts, each only when a test asks for it, and end them with the session."""

import faulthandler
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import rados
import rbd
from hypothesis import settings

from tests import order
from tests.cluster import Ceph, ControlPlane, Place, Registry, binaries, needs

REPOSITORY = Path(__file__).parents[1]
# The time of one example says nothing about the code on a machine that also runs clusters.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
# The fixtures that start something, or that tests start something with.
STARTED = frozenset({"place", "control_plane", "ceph", "registry", "node", "able_machine"})
# After its time-out a test may still end what it started.
END_SECONDS = 60.0
# The tests of this run that took their process with them.
HUNG = Path(tempfile.gettempdir(), f"sutler-hung-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}")
REGISTRY_USERS = {"UserName": "Password", "Other": "Secret"}


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM ends a test run as Ctrl-C does: fixtures are torn down, nothing is left behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    binaries.first_on_path()
    config.option.loadscopereorder = False  # the number of its tests says nothing of a file's time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a real part: by the fixtures that it asks for. Workers get what takes longest first."""
    started: Counter[str] = Counter()
    for item in items:
        if STARTED.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("cluster")
            started[_file(item)] += 1
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: order.rank(_file(item), started[_file(item)]))


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the releases of this run lack something for."""
    if HUNG.exists() and item.nodeid in HUNG.read_text().splitlines():
        pytest.fail("did not end by its time-out, and is not run again", pytrace=False)
    for marker in item.iter_markers("needs"):
        if reason := needs.lacking(**marker.kwargs):
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """End the process with a test that its time-out can't end, as one that waits for a thread in librbd for ever.

    Of the workers that run side by side it is one, and another takes its place: the test has failed, the others go on.
    The other worker gets the rest of its file, and that test again.
    """
    marker = item.get_closest_marker("timeout")
    seconds = float(marker.args[0] if marker else item.config.getini("timeout"))
    ended = threading.Event()
    threading.Thread(target=_end, args=(item, ended, seconds + END_SECONDS), daemon=True).start()
    try:
        return (yield)
    finally:
        ended.set()


def _end(item: pytest.Item, ended: threading.Event, seconds: float) -> None:
    # Second by second: a machine that is stopped and goes on later has not given the test that time.
    for _ in range(int(seconds)):
        if ended.wait(1):
            return
    try:
        with HUNG.open("a") as hung:
            hung.write(f"{item.nodeid}\n")
        if capture := item.config.pluginmanager.getplugin("capturemanager"):
            capture.suspend_global_capture()
        print(f"{item.nodeid} did not end by its time-out; its process does", file=sys.__stderr__, flush=True)
        faulthandler.dump_traceback(sys.__stderr__ or 2)
    finally:
        os._exit(1)


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
    control_plane.apply_crds(REPOSITORY / "manifests" / "crds")


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace in which Pods can be created at once; it stays, without its Pods, claims and Secrets."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.create_namespace(name)
    yield name
    control_plane.empty_namespace(name)


@pytest.fixture(scope="session")
def direct(ceph: Ceph) -> Iterator[Any]:
    """A connection to Ceph in this process. The commands take twenty times as long: most of it for their start."""
    patience = dict.fromkeys(("client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout"), "60")
    with rados.Rados(conffile=str(ceph.conf), conf=patience) as cluster:
        yield cluster


@pytest.fixture
def pool(direct: Any) -> Iterator[str]:
    """A fresh pool for RBD images."""
    name = f"test-{secrets.token_hex(4)}"
    direct.create_pool(name)
    with direct.open_ioctx(name) as ioctx:
        rbd.RBD().pool_init(ioctx, False)
    yield name
    if name in direct.list_pools():
        direct.delete_pool(name)
