"""Sutler as its users have it: the built wheel, installed in a virtual environment with what it depends on, no more.

The dependencies are links to the packages that this environment has already: nothing is fetched, and what the wheel
does not name can't be imported.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.cluster.errors import ClusterError

PACKAGES = ("certs", "provisioner", "sutler", "webhook")
_REPOSITORY = Path(__file__).parents[2]
_BUILT_FROM = ("LICENSE", "pyproject.toml", "README.md", *PACKAGES)
_OURS = Path(sysconfig.get_path("purelib"))


class Environment:
    """A virtual environment in `folder`; `python` and the command `sutler` run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python3"
        self.sutler = folder / "bin" / "sutler"
        self.site_packages = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"

    @classmethod
    def built(cls, folder: Path) -> "Environment":
        """With a wheel of the working tree as it is now."""
        environment = cls(folder)
        with tempfile.TemporaryDirectory() as name:
            environment.install(build_wheel(Path(name)))
        return environment

    def install(self, wheel: Path) -> None:
        venv.create(self.folder, symlinks=True)
        _pip("--python", str(self.python), "install", "--no-deps", "--no-index", str(wheel))
        (installed,) = self.site_packages.glob("sutler-*.dist-info")
        for one in _needed(PathDistribution(installed)):
            self._link(one)
        for module in ("rados", "rbd"):
            found = next(_OURS.glob(f"{module}.*.so"), None)
            if found is None:
                raise ClusterError(f"{_OURS} has no {module}: apt-get install python3-{module}, then make venv")
            (self.site_packages / found.name).symlink_to(found.resolve())

    def _link(self, one: Distribution) -> None:
        # Commands lie outside; the folder of compiled files, and some a LICENSE, are everybody's.
        for top in {file.parts[0] for file in one.files or []} - {"..", "__pycache__"}:
            link = self.site_packages / top
            if not link.is_symlink():
                link.symlink_to(Path(str(one.locate_file(top))))


def build_wheel(folder: Path) -> Path:
    """From a copy: the builder leaves files of its own beside the sources."""
    with tempfile.TemporaryDirectory() as name:
        for part in _BUILT_FROM:
            original, copy = _REPOSITORY / part, Path(name) / part
            if original.is_dir():
                shutil.copytree(original, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(original, copy)
        _pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), name)
    (wheel,) = folder.glob("sutler-*.whl")
    return wheel


def _needed(root: Distribution) -> Iterator[Distribution]:
    """What it says that it needs on this machine, and what that needs."""
    found, wanted = set[str](), list(_requirements(root))
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            one = distribution(name)
            wanted += _requirements(one)
            yield one


def _requirements(one: Distribution) -> Iterator[str]:
    for text in one.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield re.sub(r"[-_.]+", "-", requirement.name).lower()


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {ran.stderr.strip()}")
