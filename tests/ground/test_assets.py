"""KUBEBUILDER_ASSETS: a Kubernetes of the user's own, whole or as setup-envtest leaves it."""

import shutil
from pathlib import Path

import pytest

from tests.cluster import ClusterError, ControlPlane, Place, binaries, machine


def test_assets_without_an_api_server_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(ClusterError, match=f"KUBEBUILDER_ASSETS={tmp_path} has no kube-apiserver"):
        binaries.ensured(*binaries.CONTROL_PLANE)


def _assets(folder: Path, version: str, *more: str) -> binaries.Binaries:
    for name in ("kube-apiserver", *more):
        (folder / name).write_text(f"#!/bin/sh\necho Kubernetes {version}\n")
        (folder / name).chmod(0o755)
    return binaries.present()


def test_whole_assets_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    given = _assets(tmp_path, "v1.30.4", "kube-controller-manager")
    assert binaries.ensured(*binaries.CONTROL_PLANE).path("kube-controller-manager").parent == tmp_path
    assert given.minor == 30


def test_what_assets_lack_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As setup-envtest leaves them: an API server, etcd and kubectl alone."""
    newest = binaries.versions()[-1]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = binaries.present(newest).folder
    cache.mkdir(parents=True)
    assets = tmp_path / "assets"
    assets.mkdir()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    given = _assets(assets, f"v{newest}.9")
    assert given.missing(*binaries.CONTROL_PLANE) == ["kube-controller-manager"]
    (cache / "kube-controller-manager").touch(mode=0o755)
    assert binaries.ensured(*binaries.CONTROL_PLANE).path("kube-controller-manager").parent == cache
    assert given.path("kube-apiserver").parent == assets
    assert given.missing(*binaries.NODE) == list(binaries.NODE)
    assert not given.lacking(*binaries.NODE)


def test_assets_of_a_version_that_nothing_here_goes_with_say_which_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    given = _assets(tmp_path, "v1.30.4")
    choice = ", ".join(binaries.versions())
    with pytest.raises(ClusterError, match=rf"has Kubernetes 1\.30 without kube-controller-manager\..*{choice}\. Take"):
        binaries.ensured(*binaries.CONTROL_PLANE)
    assert "without kube-scheduler, kubelet, kube-proxy" in given.lacking(*binaries.NODE)


@pytest.mark.parametrize(
    ("minor", "expected"),
    [(20, "1.20"), (21, "1.20"), (30, None), (35, None), (36, "1.36"), (37, "1.37"), (38, "1.37")],
)
def test_rest_is_as_new_as_the_api_server_or_a_version_older(minor: int, expected: str | None) -> None:
    assert binaries.stand_in(minor) == expected


def test_control_plane_of_setup_envtest_runs_with_what_it_lacks_from_the_cache(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = binaries.ensured(*binaries.CONTROL_PLANE)
    programs = {"kube-apiserver": built.path("kube-apiserver"), "etcd": built.etcd, "kubectl": shutil.which("kubectl")}
    assets = tmp_path / "assets"
    assets.mkdir()
    for name, program in programs.items():
        (assets / name).symlink_to(str(program))
    lacking = machine.missing()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert machine.missing() == lacking, "it can have the same node"
    control_plane = ControlPlane(tmp_path / "kubernetes", place)
    control_plane.start()
    try:
        control_plane.create_namespace("made")  # returns when the controller manager has been there
    finally:
        control_plane.stop()
