"""Build the Kubernetes binaries once, from Debian's source package with Debian's Go, into the cache."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import apt, packages, sources, steps
from tests.cluster.errors import ClusterError

_RELEASE = "bookworm"
_COMMIT = "faecb196815e248d3ecfb03c680a4507229c2a56"
_SPACE = 5 << 30
# The vendored copy is older than Go 1.18, which changed a function of its runtime that the library binds to by name:
# built with Debian's Go it corrupts memory when it walks a map, and the API server dies of it now and then.
_REPLACED = ("golang-github-modern-go-reflect2", "vendor/github.com/modern-go/reflect2")
# In this order, what is needed first first; the kubelet asks the C library for users and hosts.
_STEPS = (
    (("kube-apiserver", "kube-controller-manager"), "0", 6),
    (("kube-scheduler", "kubelet"), "1", 4),
    (("kube-proxy",), "0", 1),
)
_OTHER_WAY = "Or set KUBEBUILDER_ASSETS to a folder that has kube-apiserver, kube-controller-manager and etcd"


def into(folder: Path, names: Sequence[str]) -> None:
    """Put `names` into `folder`, each whole or not at all. Takes minutes and says so.

    Raises:
        ClusterError: what is missing on this machine or failed, and the way out.
    """
    check_release(Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else "")
    check_packages(packages.missing(packages.NEEDED_TO_BUILD))
    folder.mkdir(parents=True, exist_ok=True)
    check_space(folder, shutil.disk_usage(folder).free)
    with steps.locked(folder, "the Kubernetes binaries"):
        if wanted := [name for name in names if not (folder / name).exists()]:
            for left in folder.glob("build-*"):  # by a build that was killed: we have the lock, it's nobody's
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as work:
                _Build(folder, Path(work)).run(wanted)


def check_release(os_release: str) -> None:
    """Only bookworm's source package is of the version that we want."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    if fields.get("VERSION_CODENAME", "").strip('"') != _RELEASE:
        name = fields.get("PRETTY_NAME", "unknown").strip('"')
        raise ClusterError(
            f"Kubernetes {packages.KUBERNETES} is built from the source package of Debian {_RELEASE}; this machine is"
            f" {name}. Use a {_RELEASE} machine or container. {_OTHER_WAY}"
        )


def check_packages(missing: list[str]) -> None:
    if missing:
        raise ClusterError(
            f"building Kubernetes needs the Debian packages {' '.join(missing)}. As root (or with sudo):"
            f" apt-get install --no-install-recommends {' '.join(missing)}. {_OTHER_WAY}"
        )


def check_space(folder: Path, free: int) -> None:
    if free < _SPACE:
        raise ClusterError(
            f"building Kubernetes takes up to {_SPACE >> 30} GiB for a while, and {folder} has"
            f" {free / (1 << 30):.1f} GiB free. Make room, or point XDG_CACHE_HOME elsewhere"
        )


class _Build:
    def __init__(self, folder: Path, work: Path) -> None:
        self._folder = folder
        self._work = work
        self._steps = steps.Steps(folder / "build.log")

    def run(self, names: Sequence[str]) -> None:
        minutes = sum(minutes for built, _, minutes in _STEPS if set(built) & set(names))
        print(
            f"Building {', '.join(names)} once, about {minutes} minutes on two cores; log: {self._steps.log}",
            flush=True,
        )
        tree = self._source()
        for built, cgo, _ in _STEPS:
            if chosen := [name for name in built if name in names]:
                self._make(tree, chosen, cgo)
                self._keep(tree, chosen)
        self._steps.say(f"done: {self._folder}")

    def _source(self) -> Path:
        """Fetched with apt settings of our own: the machine's are read, never changed."""
        command = self._apt()
        try:
            self._steps.run("reading the package sources' lists", [*command, "update"], cwd=self._work)
            self._steps.run(
                "fetching Debian's source package kubernetes", [*command, "source", "kubernetes"], cwd=self._work
            )
            self._steps.run(
                f"fetching Debian's source package {_REPLACED[0]}", [*command, "source", _REPLACED[0]], cwd=self._work
            )
        except ClusterError as error:
            raise ClusterError(
                f"{error}\nThe source packages can't be had from this machine's apt sources: is the network"
                f" there? {_OTHER_WAY}"
            ) from None
        version = packages.KUBERNETES.removeprefix("v")
        trees = [one for one in self._work.glob("kubernetes-*") if one.is_dir()]
        if len(trees) != 1 or not trees[0].name.endswith(version):
            found = ", ".join(one.name for one in trees) or "nothing"
            raise ClusterError(f"wanted the source of Kubernetes {version}, and apt gave {found}. {_OTHER_WAY}")
        self._replace_vendored(trees[0])
        (self._work / "go/src/k8s.io").mkdir(parents=True)
        linked = self._work / "go/src/k8s.io/kubernetes"
        linked.symlink_to(trees[0])
        return linked

    def _replace_vendored(self, tree: Path) -> None:
        package, vendored = _REPLACED
        (current,) = (one for one in self._work.glob(f"{package}-*") if one.is_dir())
        shutil.rmtree(tree / vendored)
        shutil.copytree(current, tree / vendored, ignore=shutil.ignore_patterns("*_test.go", "debian", ".*"))

    def _apt(self) -> list[str]:
        """The apt-get command with its own sources, lists and cache."""
        parts = self._work / "sources"
        for folder in (self._work / "lists/partial", self._work / "apt"):
            folder.mkdir(parents=True)
        if not apt.write_sources(parts, sources.suites(_RELEASE), "deb-src"):
            raise ClusterError(
                f"no file in /etc/apt names {_RELEASE} main, which has the source of Kubernetes. {_OTHER_WAY}"
            )
        settings = {
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": parts,
            "Dir::State::Lists": self._work / "lists",
            "Dir::Cache": self._work / "apt",
            "Acquire::Retries": 3,
            "Acquire::http::Timeout": 20,
            "Acquire::Languages": "none",
        }
        if os.geteuid() == 0:
            settings["APT::Sandbox::User"] = "root"  # apt's own user can't write into our folder
        return ["apt-get", "--quiet", *(f"-o{name}={value}" for name, value in settings.items())]

    def _make(self, tree: Path, names: list[str], cgo: str) -> None:
        what = " ".join(f"cmd/{name}" for name in names)
        self._steps.run(f"building {', '.join(names)}", ["make", f"WHAT={what}"], cwd=tree, env=self._go(cgo))

    def _go(self, cgo: str) -> dict[str, str]:
        """Nothing of the user's Go or make settings gets in, and nothing of ours into the user's home."""
        major, minor, _ = packages.KUBERNETES.removeprefix("v").split(".")
        return {
            "PATH": "/usr/lib/go/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self._work),
            "LANG": "C.UTF-8",
            "GOPATH": str(self._work / "go"),
            "GOCACHE": str(self._work / "gocache"),
            "GO111MODULE": "off",
            "CGO_ENABLED": cgo,
            "KUBE_GIT_VERSION": packages.KUBERNETES,
            "KUBE_GIT_MAJOR": major,
            "KUBE_GIT_MINOR": minor,
            "KUBE_GIT_COMMIT": _COMMIT,
            "KUBE_GIT_TREE_STATE": "clean",
            "SOURCE_DATE_EPOCH": "1610000000",
        }

    def _keep(self, tree: Path, names: list[str]) -> None:
        """Copied beside, then renamed: whoever looks sees no binary or a whole one."""
        for name in names:
            built = next(tree.glob(f"_output/local/bin/*/*/{name}"), None)
            if built is None:
                raise ClusterError(f"make ended well but left no {name}; its log is {self._steps.log}")
            beside = self._work / name
            shutil.copy2(built, beside)
            beside.replace(self._folder / name)
        self._steps.say(f"{', '.join(names)} built")
