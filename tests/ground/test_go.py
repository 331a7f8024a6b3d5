"""What the builder of Go programs says when it can't."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cluster import ClusterError, go, steps

BUILT = go.Testbed("csi-sanity")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))


def test_modules_that_cannot_be_had_name_the_setting_of_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("go") is None:
        pytest.skip("this machine has no Go, and a build would fetch one first")
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(
        ClusterError, match=r"(?s)building csi-sanity failed.*GOPROXY=off\n.*`go env GOPROXY`.*HTTPS_PROXY"
    ):
        BUILT.ensured()
    assert sorted(one.name for one in BUILT.folder.iterdir()) == ["build.log", "lock"], "nothing is left half"


def test_machine_without_go_or_an_index_says_both_ways_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ClusterError, match=r"(?s)no Go 1\.21 or newer, and pip could not .* apt-get install golang-go"):
        go.toolchain(steps.Steps(tmp_path / "log"))


def test_full_disk_is_named_before_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    with pytest.raises(
        ClusterError, match=r"csi-sanity takes up to 3 GiB .* has 1\.0 GiB free.*XDG_CACHE_HOME, GOCACHE"
    ):
        BUILT.ensured()
