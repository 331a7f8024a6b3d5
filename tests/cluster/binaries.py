"""Which Kubernetes binaries to run: KUBEBUILDER_ASSETS, else the cache, else built once."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.cluster import packages
from tests.cluster.errors import ClusterError

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager")
NODE = ("kube-scheduler", "kubelet", "kube-proxy")


def assets_folder() -> Path | None:
    """The folder that the user pointed to; the name is the convention of Kubernetes developers."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(named) if named else None


@dataclass(frozen=True)
class Binaries:
    folder: Path
    given: bool  # by KUBEBUILDER_ASSETS: nothing is ever built into it

    def missing(self, *names: str) -> list[str]:
        return [name for name in names if not os.access(self.folder / name, os.X_OK)]

    def path(self, name: str) -> Path:
        if self.missing(name):
            raise ClusterError(missing_text(self, name))
        return self.folder / name

    @property
    def etcd(self) -> Path:
        beside = self.folder / "etcd"
        found = beside if os.access(beside, os.X_OK) else shutil.which("etcd")
        if found is None:
            raise ClusterError("there is no etcd on PATH; Debian's package etcd-server has it (make setup installs it)")
        return Path(found)

    @cached_property
    def minor(self) -> int:
        """20 for Kubernetes 1.20."""
        said = subprocess.run(
            [self.path("kube-apiserver"), "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
        found = re.search(r"v1\.(\d+)", said)
        if found is None:
            raise ClusterError(f"{self.path('kube-apiserver')} --version says {said!r}, which is no Kubernetes version")
        return int(found[1])


def missing_text(binaries: Binaries, name: str) -> str:
    if binaries.given:
        return (
            f"KUBEBUILDER_ASSETS={binaries.folder} has no {name}. Put the one of the same version as its"
            " kube-apiserver there, or unset KUBEBUILDER_ASSETS to build all of them once"
        )
    return f"{binaries.folder} has no {name}; `python -m tests.cluster build` builds it"


def present() -> Binaries:
    """The binaries as they are; asks for nothing and builds nothing."""
    given = assets_folder()
    return Binaries(given or packages.kubernetes_cache(), given is not None)


def ensured(*names: str) -> Binaries:
    """The binaries with all of `names`: built now when they are in no cache.

    Raises:
        ClusterError: says which is missing and the way out.
    """
    binaries = present()
    if not binaries.missing(*names):
        return binaries
    if binaries.given:
        raise ClusterError(missing_text(binaries, binaries.missing(*names)[0]))
    from tests.cluster import build  # noqa: PLC0415 - most runs never build

    build.into(binaries.folder, names)
    return binaries
