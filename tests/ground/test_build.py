"""What the builder says when something is missing, and what it makes of the machine's apt sources."""

import fcntl
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cluster import ClusterError, apt, build, debian, packages, sources, wait_for

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
SUITES = {suite: suite for suite in ("bookworm", "bookworm-updates", "bookworm-security")}


def test_list_keeps_debians_own_suites_and_their_keys() -> None:
    assert sources.from_list(LIST, SUITES).splitlines() == [
        "deb-src [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian bookworm main",
        "deb-src http://mirror.test/debian-security bookworm-security main",
    ]


def test_deb822_keeps_debians_own_suites_and_their_keys() -> None:
    assert sources.from_deb822(DEB822, SUITES) == (
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
    (tmp_path / "one.list").write_text(sources.from_list(LIST, SUITES))
    (tmp_path / "two.sources").write_text(sources.from_deb822(DEB822, SUITES))
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


def test_full_disk_is_reported_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"has 1\.0 GiB free.*XDG_CACHE_HOME"):
        build.check_space(tmp_path, 1 << 30)


def test_unreachable_sources_are_reported_and_leave_nothing_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _needs_debian()
    monkeypatch.setattr(debian, "ensured", lambda *_: tmp_path)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(ClusterError, match=r"(?s)is the network there.*KUBEBUILDER_ASSETS"):
        build.into(tmp_path, ["kube-proxy"])
    assert "fetching Debian's source package" in capfd.readouterr().out
    assert sorted(one.name for one in tmp_path.iterdir()) == ["build.log", "lock"]


def test_second_builder_waits_and_then_finds_it_done(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
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


def test_error_on_a_machine_without_debian_names_what_is_lacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt, "codename", lambda: "")
    with pytest.raises(
        ClusterError, match=r"no file in /etc/apt names a mirror .*, and a Debian bookworm comes from there"
    ):
        apt.mirrors(tmp_path, "bookworm", "deb-src")


def _needs_debian() -> None:
    if not apt.codename():
        pytest.skip("this machine is no Debian, whose mirror is asked for sources")


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
    wanted = {"some-package": "a-program-of-no-package", "other-package": str(tmp_path / "lib*.so")}
    assert packages.missing(wanted) == ["some-package", "other-package"]
    (tmp_path / "a-program-of-no-package").touch(mode=0o755)
    (tmp_path / "lib1.so").touch()
    assert packages.missing(wanted) == []
