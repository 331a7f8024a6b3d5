"""Tests with the librados and librbd of one Ceph release against clusters of another."""

import hashlib
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster import ceph_programs, debian, packages, steps
from tests.cluster.dockerfile import passed_on

REPOSITORY = Path(__file__).parents[2]
_CONSTRAINTS = REPOSITORY / "constraints.txt"
# What talks to Ceph, and a Kubernetes that runs without a node.
TESTED = ("tests/ceph", "tests/volumes")
_MODULES = ("rados", "rbd")
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


class Client:
    """A Debian with Ceph's libraries of one release, and an environment of the constraints file for its Python."""

    def __init__(self, release: str) -> None:
        self.release = release
        self._name = f"client-{release}"
        # Of these packages and this checkout: tests of another one may run meanwhile.
        made_of = hashlib.sha256(_CONSTRAINTS.read_bytes() + bytes(REPOSITORY)).hexdigest()
        self._environment = debian.folder(self._name) / f"environment-{made_of[:12]}"

    @property
    def version(self) -> str:
        """As in 20.2.4."""
        said = subprocess.run(
            self._entered(["ceph-mon", "--version"]), capture_output=True, text=True, timeout=60, check=True
        )
        return said.stdout.split()[2]

    def ensured(self) -> None:
        """Make the Debian and its environment now where the cache lacks them, and the clusters' Debians."""
        debian.ensured(self._name, ceph_programs.SUITES[self.release], [*ceph_programs.PACKAGES, "python3-venv"])
        for release in set(ceph_programs.SUITES) - {self.release}:
            debian.ensured(f"ceph-{release}", ceph_programs.SUITES[release], ceph_programs.PACKAGES)
        made = self._environment / "made"
        with steps.locked(debian.folder(self._name), f"an environment for the client of Ceph {self.release}"):
            if not made.exists():
                self._make()
                made.touch()

    def _make(self) -> None:
        log = steps.Steps(debian.folder(self._name) / "environment.log")
        python = self._environment / "bin" / "python3"
        link = (
            "import sys, pathlib, importlib.util as find, sysconfig\n"
            "for name in sys.argv[1:]:\n"
            "    original = next(pathlib.Path('/usr/lib/python3/dist-packages').glob(name + '.*.so'))\n"
            "    target = pathlib.Path(sysconfig.get_path('purelib'), original.name)\n"
            "    target.exists() or target.symlink_to(original)\n"
        )
        with tempfile.TemporaryDirectory() as folder:
            variables = (f"{name}={value}" for name, value in passed_on(Path(folder)))
            install: list[str | Path] = ["env", "-i", _PATH, *variables, python, "-m", "pip", "install", "--quiet"]
            commands: dict[str, list[str | Path]] = {
                "making an environment": ["/usr/bin/python3", "-m", "venv", "--clear", self._environment],
                "installing what is pinned": [*install, "--require-hashes", "--requirement", _CONSTRAINTS],
                "installing Sutler": [*install, "--no-deps", "--no-build-isolation", "--editable", REPOSITORY],
                "linking Ceph's modules": [python, "-c", link, *_MODULES],
            }
            for what, command in commands.items():
                log.run(f"{what} for the client of Ceph {self.release}", self._entered(command), cwd=REPOSITORY)

    def pytest(self, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
        """Its exit status."""
        python = self._environment / "bin" / "python3"
        command = self._entered(["env", f"--chdir={REPOSITORY}", python, "-m", "pytest", *arguments])
        return subprocess.run(command, env=environment, check=False).returncode

    def _entered(self, command: Sequence[str | Path]) -> list[str]:
        root = debian.folder(self._name) / "root"
        return debian.entered(root, command, [REPOSITORY, packages.cache()])
