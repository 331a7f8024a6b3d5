"""Which Kubernetes binaries to run: KUBEBUILDER_ASSETS, else those that the environment variable KUBERNETES names.

The latter come from the cache, and are built into it once: the oldest supported version from Debian's source package,
newer ones from their published Go module.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.cluster import go, packages
from tests.cluster.errors import ClusterError

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager")
NODE = ("kube-scheduler", "kubelet", "kube-proxy")
# What is used from PATH where a folder has none. Newer versions are built with theirs.
_BESIDE = ("etcd", "kubectl")
_PREFIX = "kubernetes-"
_MINUTES, _GIB = 14, 6
# From this minor version on, the kubelet speaks the protocol of a new containerd; before, that of an old one alone.
_NEW_CONTAINERD = 26
# The first one that mounts image volumes.
_CONTAINERD = (2, 1)
_CONTAINERDS = go.Testbed("containerd")


def assets_folder() -> Path | None:
    """The folder that the user pointed to; the name is the convention of Kubernetes developers."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(named) if named else None


def versions() -> list[str]:
    """The values of KUBERNETES, the newest last."""
    built = [one.name.removeprefix(_PREFIX) for one in go.TESTBED.glob(f"{_PREFIX}*")]
    return [packages.OLDEST, *sorted(built, key=lambda version: int(version.partition(".")[2]))]


@dataclass(frozen=True)
class Binaries:
    folder: Path
    version: str | None
    """As in "1.20"; None: given by KUBEBUILDER_ASSETS, where nothing is ever built into."""

    @property
    def given(self) -> bool:
        return self.version is None

    @cached_property
    def rest(self) -> "Binaries | None":
        """What is built here and goes with the given ones, for the programs that their folder lacks."""
        chosen = stand_in(self.minor) if self.given else None
        return present(chosen) if chosen else None

    def missing(self, *names: str) -> list[str]:
        """Those that are neither there nor in the cache."""
        absent = [name for name in names if not os.access(self.folder / name, os.X_OK)]
        return self.rest.missing(*absent) if absent and self.given and self.rest else absent

    def lacking(self, *names: str) -> str:
        """Why some can't be had, with the way out; empty where all are there or can be built."""
        absent = self.missing(*names) if self.given else []
        return "" if not absent or self.rest else _lacking_text(self, absent)

    def path(self, name: str) -> Path:
        if self.missing(name):
            raise ClusterError(self.lacking(name) or f"{name} is not built; `python -m tests.cluster build` builds it")
        beside = self.folder / name
        return beside if self.rest is None or os.access(beside, os.X_OK) else self.rest.path(name)

    @property
    def etcd(self) -> Path:
        beside = self.folder / "etcd"
        found = beside if os.access(beside, os.X_OK) else shutil.which("etcd")
        if found is None:
            raise ClusterError("there is no etcd on PATH; Debian's package etcd-server has it (make setup installs it)")
        return Path(found)

    @property
    def containerd(self) -> Path:
        """The folder of a containerd that the kubelet accepts, with its shim and ctr; built when there is none."""
        if self.builds_containerd:
            return _CONTAINERDS.ensured()
        found = shutil.which("containerd", path=f"{self.folder}{os.pathsep}{os.environ['PATH']}")
        if found is None:
            raise ClusterError("there is no containerd on PATH; Debian's package containerd has it")
        return Path(found).parent

    @cached_property
    def minor(self) -> int:
        """20 for Kubernetes 1.20."""
        if self.version:
            return int(self.version.partition(".")[2])
        server = self.folder / "kube-apiserver"
        if not os.access(server, os.X_OK):
            raise ClusterError(
                f"KUBEBUILDER_ASSETS={self.folder} has no kube-apiserver. Let it name a folder that has one"
                " (setup-envtest use -p path prints it), or unset it to build Kubernetes once"
            )
        return _version([str(server), "--version"])[1]

    @property
    def containerd_version(self) -> str:
        if self.builds_containerd:
            return _CONTAINERDS.required("github.com/containerd/containerd/v2").removeprefix("v")
        return ".".join(map(str, _version([str(self.containerd / "containerd"), "--version"])))

    @property
    def builds_containerd(self) -> bool:
        """Whether neither the folder nor this machine has one that the kubelet accepts."""
        found = shutil.which("containerd")
        if (self.folder / "containerd").exists():
            return False
        if self.minor < _NEW_CONTAINERD:
            return False
        return found is None or _version([found, "--version"]) < _CONTAINERD


def stand_in(minor: int) -> str | None:
    """The version to be built that the rest of a control plane and a node may have beside an API server of `minor`.

    They may be older than it, never newer; by one is what all of them allow.
    """
    fitting = [one for one in versions() if int(one.partition(".")[2]) in {minor, minor - 1}]
    return fitting[-1] if fitting else None


def _lacking_text(binaries: Binaries, names: Sequence[str]) -> str:
    return (
        f"KUBEBUILDER_ASSETS={binaries.folder} has Kubernetes 1.{binaries.minor} without {', '.join(names)}."
        f" What an API server lacks can be built for {', '.join(versions())}. Take one of these (setup-envtest use"
        " -p path VERSION), add the missing programs, or unset KUBEBUILDER_ASSETS to build all of them once"
    )


def present(version: str | None = None) -> Binaries:
    """The binaries as they are; asks for nothing and builds nothing."""
    given = assets_folder()
    if version is None and given:
        return Binaries(given, None)
    chosen = version or packages.kubernetes()
    folder = packages.kubernetes_cache() if chosen == packages.OLDEST else _testbed(chosen).folder
    return Binaries(folder, chosen)


def ensured(*names: str, version: str | None = None) -> Binaries:
    """The binaries with all of `names`: built now when they are in no cache.

    Args:
        names: of CONTROL_PLANE and NODE.
        version: as in "1.20". Default: KUBEBUILDER_ASSETS, else what KUBERNETES names.

    Raises:
        ClusterError: says which is missing and the way out.
    """
    binaries = present(version)
    missing = binaries.missing(*names)
    if not missing:
        return binaries
    if text := binaries.lacking(*missing):
        raise ClusterError(text)
    if binaries.rest and binaries.rest.version:
        print(
            f"{binaries.folder} has no {', '.join(missing)}; building Kubernetes {binaries.rest.version}'s", flush=True
        )
        _build(binaries.rest.version, missing)
    elif binaries.version == packages.OLDEST:
        _build(binaries.version, names)
    elif binaries.version:
        _build(binaries.version, [*_BESIDE, *names])
    return binaries


def _build(version: str, names: Sequence[str]) -> None:
    if version != packages.OLDEST:
        _testbed(version).ensured(names)
        return
    from tests.cluster import build  # noqa: PLC0415 - most runs never build

    build.into(packages.kubernetes_cache(), names)


def first_on_path() -> None:
    """Let commands that name no folder, kubectl above all, be those of this run's Kubernetes where it has them."""
    folder = str(present().folder)
    if folder not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def _testbed(version: str) -> go.Testbed:
    if version not in versions():
        raise ClusterError(f"there is no Kubernetes {version} here: KUBERNETES is one of {', '.join(versions())}")
    required = go.Testbed(_PREFIX + version).required("k8s.io/kubernetes")
    # Without them a server calls itself v0.0.0, and clients go by that.
    said = {"gitVersion": required, "gitMajor": "1", "gitMinor": version.partition(".")[2], "gitTreeState": "clean"}
    modules = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    flags = [f"-X {module}.{name}={value}" for module in modules for name, value in said.items()]
    return go.Testbed(_PREFIX + version, " ".join(flags), _MINUTES, _GIB)


def _version(command: list[str]) -> tuple[int, int]:
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    found = re.search(r"\bv?(\d+)\.(\d+)\.", said)
    if found is None:
        raise ClusterError(f"{' '.join(command)} says {said!r}, which is no version")
    return int(found[1]), int(found[2])
