"""Real clusters come and go, side by side, and leave nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster import Ceph, ClusterError, ControlPlane, Place, Registry, wait_for
from tests.cluster.detached import Detached
from tests.ground import processes

REPOSITORY = Path(__file__).parents[2]
SERVERS = ("etcd", "API server", "controller manager", "mon", "mgr", "OSD", "registry")
RUN_OF_ITS_OWN = """
from pathlib import Path
def test_sleeps({fixture}):
    Path({started!r}).touch()
    import time
    time.sleep(600)
"""

pytestmark = pytest.mark.cluster  # each starts its own


@pytest.mark.long
def test_everything_starts_within_20_seconds_and_leaves_no_process(tmp_path: Path) -> None:
    """That it starts, and leaves nothing, is shown below without a look at the clock."""
    others = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # who else is at work on this machine
    began = time.monotonic()
    with Place.host() as place, ExitStack() as stack:
        registry = Registry(tmp_path / "registry", place, {"UserName": "Password"})
        for part in (ControlPlane(tmp_path / "kubernetes", place), Ceph(tmp_path / "ceph", place), registry):
            part.start()
            stack.callback(part.stop)
        took = time.monotonic() - began
        assert len(processes.naming(str(tmp_path))) == len(SERVERS)
    print(f"\n{', '.join(SERVERS)} ran after {took:.1f} s")
    assert not processes.naming(str(tmp_path))
    assert took < 20 * others


def test_failed_start_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "etcd").write_text("where a directory should be")
    with Place.host() as place, pytest.raises(ClusterError, match=r"etcd\.log ends with"):
        ControlPlane(tmp_path, place).start()
    assert not processes.naming(str(tmp_path))


@pytest.mark.long  # short: the tests of Sutler that restart it
def test_restarted_apiserver_has_the_objects_of_before(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "configmap", "kept", "-n", namespace)
    pid = control_plane.apiserver.pid
    control_plane.restart_apiserver()
    assert control_plane.apiserver.pid != pid
    assert control_plane.kubectl("get", "configmap", "kept", "-n", namespace, "-o", "name") == "configmap/kept\n"


def test_paused_apiserver_answers_when_it_is_resumed(control_plane: ControlPlane) -> None:
    control_plane.pause()
    try:
        assert not control_plane.ready()
    finally:
        control_plane.resume()
    wait_for(control_plane.ready, "the API server to answer again")


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    if why := Place.why_no_namespace():
        pytest.skip(why)
    with Place.namespace() as place:
        started = ControlPlane(tmp_path_factory.mktemp("isolated"), place)
        started.start()
        yield started
        started.stop()


@pytest.mark.long  # the workers of any run are such clusters
def test_two_clusters_side_by_side_know_nothing_of_each_other(
    control_plane: ControlPlane, isolated: ControlPlane, namespace: str
) -> None:
    assert f"namespace/{namespace}" in control_plane.kubectl("get", "namespaces", "-o", "name")
    assert f"namespace/{namespace}" not in isolated.kubectl("get", "namespaces", "-o", "name")


def test_one_kubeconfig_serves_inside_a_namespace_and_outside(isolated: ControlPlane) -> None:
    command = [*isolated.place.prefix, "kubectl", f"--kubeconfig={isolated.kubeconfig}", "get", "--raw", "/readyz"]
    inside = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert inside.stdout == isolated.kubectl("get", "--raw", "/readyz") == "ok"


@pytest.mark.long  # short: the Ceph of tests/node/test_in_cluster.py
def test_ceph_in_a_namespace_serves_the_host(tmp_path: Path) -> None:
    if why := Place.why_no_namespace():
        pytest.skip(why)
    with Place.namespace() as place:
        ceph = Ceph(tmp_path, place)
        ceph.start()
        pool = ceph.pool("inside")
        ceph.rbd_program("create", f"{pool}/one", "--size", "1M")
        assert ceph.rbd_program("ls", pool) == "one\n"
        ceph.wait_for_manager()
        assert "pool inside" in ceph.ceph("osd", "pool", "stats"), "only the manager answers this"
        ceph.stop()


@pytest.mark.long
def test_bluestore_keeps_images_over_a_kill(tmp_path: Path) -> None:
    with Place.host() as place:
        ceph = Ceph(tmp_path, place, store="bluestore")
        ceph.start()
        pool = ceph.pool("kept")
        ceph.rbd_program("create", f"{pool}/one", "--size", "1M")
        ceph.osd.restart()
        assert ceph.rbd_program("ls", pool) == "one\n"
        ceph.stop()


@pytest.mark.parametrize(
    ("fixture", "folder", "servers", "sig"),
    [
        # The one that starts soonest; the others with the one that has most servers.
        ("registry", "registry", 1, signal.SIGKILL),
        pytest.param("control_plane", "kubernetes", 3, signal.SIGKILL, marks=pytest.mark.long),
        pytest.param("control_plane", "kubernetes", 3, signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("control_plane", "kubernetes", 3, signal.SIGINT, marks=pytest.mark.long),
    ],
)
def test_ended_test_run_leaves_no_process(
    fixture: str, folder: str, servers: int, sig: signal.Signals, tmp_path: Path
) -> None:
    started, state = tmp_path / "started", str(tmp_path / "base" / folder)
    (tmp_path / "test_sleeper.py").write_text(RUN_OF_ITS_OWN.format(fixture=fixture, started=str(started)))
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(REPOSITORY / "pyproject.toml")]
    options = ["--basetemp", str(tmp_path / "base"), "-p", "no:cacheprovider", str(tmp_path / "test_sleeper.py")]
    with subprocess.Popen([*command, *options], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as run:
        try:
            wait_for(lambda: started.exists() or run.poll() is not None, "the test to run", timeout=60)
            assert run.poll() is None, run.communicate()
            assert len(processes.naming(state)) == servers
            run.send_signal(sig)
            run.communicate(timeout=60)
        finally:
            run.kill()
    wait_for(lambda: not processes.naming(state), "all servers to be gone")


def test_up_leaves_it_running_and_down_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    lines = _cluster("up", state, "--no-node").stdout
    try:
        exports = dict(line.removeprefix("export ").split("=", 1) for line in lines.splitlines() if "export" in line)
        kubectl = ["kubectl", f"--kubeconfig={exports['KUBECONFIG']}", "get", "--raw", "/readyz"]
        assert subprocess.run(kubectl, capture_output=True, timeout=30, check=True).stdout == b"ok"
        assert exports["CEPH_CONF"] == str(state / "ceph" / "ceph.conf")
        assert len([line for line in processes.naming(str(state)) if "tests.cluster" not in line]) == len(SERVERS)
        assert _cluster("status", state).returncode == 0
        assert _cluster("up", state, "--no-node").stdout in lines, "a second up only says the lines again"
    finally:
        down = _cluster("down", state)
    assert down.stdout == "Everything is stopped.\n"
    assert _cluster("status", state).returncode == 3
    assert not processes.naming(str(tmp_path))
    assert not state.exists()


def test_down_never_ends_a_process_that_has_got_the_number(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        (tmp_path / "holder.json").write_text(f'{{"pid": {other.pid}, "started": "12"}}')
        assert Detached(tmp_path).stop() is False
        assert other.poll() is None
        other.kill()


def test_up_touches_no_directory_of_others(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    refused = _cluster("up", tmp_path, "--no-node")
    assert refused.returncode == 1
    assert "holds other files than a cluster's" in refused.stderr
    assert (tmp_path / "thesis.tex").exists()


def _cluster(command: str, state: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tests.cluster", command, "--state", str(state), *options]
    return subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
