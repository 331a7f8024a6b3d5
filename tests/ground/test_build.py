"""What the builder says when something is missing, and what it makes of the machine's apt sources."""

import fcntl
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cluster import ClusterError, binaries, build, packages, sources, wait_for

LIST = """\
# a comment
deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian bookworm main contrib # and another
deb-src [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian bookworm main
deb http://mirror.test/debian-security bookworm-security main
deb http://cloud.test/apt cloud-sdk-bookworm main
deb http://other.test/debian bookworm stable
deb cdrom:[Debian]/ bookworm main
"""
DEB822 = """\
Types: deb
# the archive
URIs: http://other-mirror.test/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main non-free
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: https://deb.nodesource.test/node
Suites: nodistro
Components: main
"""


def test_list_keeps_debians_own_suites_and_their_keys() -> None:
    assert sources.from_list(LIST, sources.suites("bookworm")).splitlines() == [
        "deb-src [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian bookworm main",
        "deb-src http://mirror.test/debian-security bookworm-security main",
    ]


def test_deb822_keeps_debians_own_suites_and_their_keys() -> None:
    assert sources.from_deb822(DEB822, sources.suites("bookworm")) == (
        "types: deb-src\n"
        "uris: http://other-mirror.test/debian\n"
        "suites: bookworm bookworm-updates\n"
        "components: main\n"
        "signed-by: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    )


def test_apt_reads_what_is_made_of_the_machines_own_files(tmp_path: Path) -> None:
    """Not the text we meant, but what apt makes of it."""
    if not Path("/etc/apt").exists():
        pytest.skip("no apt on this machine")
    (tmp_path / "one.list").write_text(sources.from_list(LIST, sources.suites("bookworm")))
    (tmp_path / "two.sources").write_text(sources.from_deb822(DEB822, sources.suites("bookworm")))
    options = ["-oDir::Etc::SourceList=/dev/null", f"-oDir::Etc::SourceParts={tmp_path}"]
    said = subprocess.run(
        ["apt-get", "update", "--print-uris", *options], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    assert set(re.findall(r"'http://(\S+)/dists/(\S+)/InRelease'", said)) == {
        ("mirror.test/debian", "bookworm"),
        ("mirror.test/debian-security", "bookworm-security"),
        ("other-mirror.test/debian", "bookworm"),
        ("other-mirror.test/debian", "bookworm-updates"),
    }
    assert "binary" not in said


def test_other_release_is_refused_with_its_name_and_another_way() -> None:
    with pytest.raises(ClusterError, match=r"this machine is Ubuntu 24\.04.*Or set KUBEBUILDER_ASSETS"):
        build.check_release('PRETTY_NAME="Ubuntu 24.04"\nVERSION_CODENAME=noble\n')
    with pytest.raises(ClusterError, match="this machine is unknown"):
        build.check_release("")


def test_bookworm_is_accepted() -> None:
    build.check_release('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\n')


def test_missing_packages_are_named_with_the_command_that_installs_them() -> None:
    with pytest.raises(ClusterError, match=r"apt-get install --no-install-recommends golang-go jq\. Or set"):
        build.check_packages(["golang-go", "jq"])


def test_full_disk_is_told_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"has 1\.0 GiB free.*XDG_CACHE_HOME"):
        build.check_space(tmp_path, 1 << 30)


def test_incomplete_assets_are_named_and_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(ClusterError, match=f"KUBEBUILDER_ASSETS={tmp_path} has no kube-apiserver"):
        binaries.ensured(*binaries.CONTROL_PLANE)
    for name in binaries.CONTROL_PLANE:
        (tmp_path / name).touch(mode=0o755)
    assert binaries.ensured(*binaries.CONTROL_PLANE).given
    assert binaries.present().missing(*binaries.NODE) == list(binaries.NODE)
    with pytest.raises(ClusterError, match="has no kubelet"):
        binaries.present().path("kubelet")


def test_unreachable_sources_are_told_and_leave_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if packages.missing(packages.NEEDED_TO_BUILD) or "bookworm" not in Path("/etc/os-release").read_text():
        pytest.skip("this machine can't build Kubernetes at all")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(ClusterError, match="is the network there"):
        build.into(tmp_path, ["kube-proxy"])
    assert "fetching Debian's source package" in capfd.readouterr().out
    assert sorted(one.name for one in tmp_path.iterdir()) == ["build.log", "lock"]


def test_second_builder_waits_and_then_finds_it_done(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if packages.missing(packages.NEEDED_TO_BUILD) or "bookworm" not in Path("/etc/os-release").read_text():
        pytest.skip("this machine can't build Kubernetes at all")
    with (tmp_path / "lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = threading.Thread(target=build.into, args=(tmp_path, ["kube-proxy"]))
        second.start()
        said = ""

        def waits() -> bool:
            nonlocal said
            said += capfd.readouterr().out
            return "Another process makes the Kubernetes binaries" in said

        wait_for(waits, "the second to wait")
        (tmp_path / "kube-proxy").touch()
    second.join(timeout=10)
    assert not second.is_alive()
    assert "Building" not in said + capfd.readouterr().out


def test_installing_without_root_or_sudo_says_what_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apt-get").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(packages.CannotInstallError, match="as root, run: apt-get install etcd-server skopeo"):
        packages.install(["etcd-server", "skopeo"])


def test_installing_without_apt_names_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(packages.CannotInstallError, match=r"no apt-get.*: etcd-server"):
        packages.install(["etcd-server"])


def test_present_program_needs_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = {"some-package": "a-program-of-nobody", "other-package": str(tmp_path / "lib*.so")}
    assert packages.missing(wanted) == ["some-package", "other-package"]
    (tmp_path / "a-program-of-nobody").touch(mode=0o755)
    (tmp_path / "lib1.so").touch()
    assert packages.missing(wanted) == []
