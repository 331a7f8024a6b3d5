"""A place keeps ports apart, and a namespace keeps everything apart."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import ClusterError, Place, Process, probe
from tests.cluster import place as place_module

SERVER = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1"]


def test_ports_of_two_places_are_never_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with Place.host() as free:
        few = free.ports(8)
    monkeypatch.setattr(place_module, "_PORTS", few)
    with Place.host() as one, Place.host() as other:
        taken = [keeper.port() for keeper in (one, other) * 4]
        assert sorted(taken) == list(few)
        with pytest.raises(ClusterError, match=r"no 1 free ports in a row between \d+ and \d+"):
            one.port()


def test_ports_in_a_row_are_all_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with Place.host() as free:
        few = free.ports(4)
    monkeypatch.setattr(place_module, "_PORTS", few)
    with Place.host() as one, Place.host() as other:
        taken = one.port()
        rest = max(taken - few.start, few.stop - 1 - taken)
        assert taken not in other.ports(rest)
        with pytest.raises(ClusterError, match="no 4 free ports in a row"):
            Place.host().ports(4)


def test_port_is_kept_while_its_server_restarts(tmp_path: Path) -> None:
    with Place.host() as place:
        port = place.port()
        server = Process.started([*SERVER, str(port)], place=place, log=tmp_path / "log", cwd=tmp_path)
        for _ in range(2):
            server.until(lambda: probe.get(f"http://127.0.0.1:{port}/")[0] == 200, "an answer")
            server.restart()
        server.stop()


@pytest.fixture
def namespace_place() -> Place:
    if Place.why_no_namespace():
        pytest.skip(Place.why_no_namespace())
    return Place.namespace()


def test_namespace_has_no_way_out(namespace_place: Place) -> None:
    with namespace_place as place:
        devices = _inside(place, "ip", "-brief", "link").split("\n")
        routes = _inside(place, "ip", "route", "show", "table", "all", "scope", "global")
    assert [line.split()[0] for line in devices if line] == ["lo"]
    assert "default" not in routes


def test_forwarded_port_is_the_same_outside_and_inside(namespace_place: Place, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 5_000_000)
    with namespace_place as place:
        port = place.port()
        server = Process.started([*SERVER, str(port)], place=place, log=tmp_path / "log", cwd=tmp_path)
        assert probe.get(f"http://127.0.0.1:{port}/")[0] == 0, "the host must not reach what is not forwarded"
        place.forward(port)
        status, text = server.until(lambda: _answer(f"http://127.0.0.1:{port}/large"), "an answer")
        assert (status, len(text)) == (200, 5_000_000)
        server.stop()
        assert probe.get(f"http://127.0.0.1:{port}/large")[0] == 0


def test_published_port_leads_to_another_one_inside(namespace_place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("it works\n")
    with namespace_place as place:
        server = Process.started([*SERVER, "8443"], place=place, log=tmp_path / "log", cwd=tmp_path)
        port = place.published(8443)
        assert server.until(lambda: _answer(f"http://127.0.0.1:{port}/file"), "an answer") == (200, "it works\n")
        server.stop()


def test_two_namespaces_have_the_same_port_each(tmp_path: Path) -> None:
    if Place.why_no_namespace():
        pytest.skip(Place.why_no_namespace())
    with Place.namespace() as one, Place.namespace() as other:
        servers = [
            Process.started([*SERVER, "5000"], place=place, log=tmp_path / place.name, cwd=tmp_path)
            for place in (one, other)
        ]
        for server in servers:
            server.until(_serves(server), "port 5000 to be its own")
            server.stop()


def _serves(server: Process) -> Callable[[], bool]:
    return lambda: "Serving HTTP" in server.log_text()


def _answer(url: str) -> tuple[int, str] | None:
    answer = probe.get(url)
    return answer if answer[0] else None


def _inside(place: Place, *command: str) -> str:
    return subprocess.run([*place.prefix, *command], capture_output=True, text=True, timeout=10, check=True).stdout
