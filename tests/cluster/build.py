"""Build the oldest Kubernetes once, from the source package of the Debian that has it, with that Debian's Go."""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.cluster import apt, debian, packages, steps
from tests.cluster.errors import ClusterError

_SUITE = "bookworm"
_PACKAGES = ("dpkg-dev", "gcc", "golang-go", "jq", "libc6-dev", "make", "rsync")
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
_OTHER_WAY = "Or run on another Kubernetes: KUBERNETES names the version, KUBEBUILDER_ASSETS a folder that has one"


def into(folder: Path, names: Sequence[str]) -> None:
    """Put `names` into `folder`, each whole or not at all. Takes minutes and says so.

    Raises:
        ClusterError: what is missing on this machine or failed, and the way out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_space(folder, shutil.disk_usage(folder).free)
    with steps.locked(folder, "the Kubernetes binaries"):
        if wanted := [name for name in names if not (folder / name).exists()]:
            for left in folder.glob("build-*"):  # by a build that was killed: this one has the lock
                shutil.rmtree(left)
            try:
                root = debian.ensured(f"build-{_SUITE}", _SUITE, _PACKAGES)
                with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as work:
                    _Build(folder, Path(work), root).run(wanted)
            except ClusterError as error:
                raise ClusterError(f"{error}\n{_OTHER_WAY}") from None


def check_space(folder: Path, free: int) -> None:
    if free < _SPACE:
        raise ClusterError(
            f"building Kubernetes takes up to {_SPACE >> 30} GiB for a while, and {folder} has"
            f" {free / (1 << 30):.1f} GiB free. Free some space, or point XDG_CACHE_HOME elsewhere"
        )


class _Build:
    def __init__(self, folder: Path, work: Path, root: Path) -> None:
        self._folder = folder
        self._work = work
        self._root = root
        self._steps = steps.Steps(folder / "build.log")

    def run(self, names: Sequence[str]) -> None:
        minutes = sum(minutes for built, _, minutes in _STEPS if set(built) & set(names))
        print(
            f"Building {', '.join(names)} ({packages.KUBERNETES}) once, about {minutes} minutes on two cores; log:"
            f" {self._steps.log}",
            flush=True,
        )
        tree = self._source()
        for built, cgo, _ in _STEPS:
            if chosen := [name for name in built if name in names]:
                self._make(tree, chosen, cgo)
                self._keep(tree, chosen)
        self._steps.say(f"done: {self._folder}")

    def _source(self) -> Path:
        """Fetched by this machine's apt with settings of our own, unpacked by the Debian that builds it."""
        command = self._apt()
        sources = ("kubernetes", _REPLACED[0])
        try:
            self._steps.run("reading the package sources' lists", [*command, "update"], cwd=self._work)
            for name in sources:
                fetch = [*command, "source", "--download-only", name]
                self._steps.run(f"fetching Debian's source package {name}", fetch, cwd=self._work)
        except ClusterError as error:
            raise ClusterError(
                f"{error}\nThe source packages can't be had from this machine's apt sources: is the network there?"
            ) from None
        trees = [self._unpacked(name) for name in sources]
        self._replace_vendored(*trees)
        (self._work / "go/src/k8s.io").mkdir(parents=True)
        linked = self._work / "go/src/k8s.io/kubernetes"
        linked.symlink_to(trees[0])
        return linked

    def _unpacked(self, name: str) -> Path:
        (described,) = self._work.glob(f"{name}_*.dsc")
        tree = self._work / name
        # apt has verified it: its hash stands in the signed lists.
        unpack = ["dpkg-source", "--no-check", "--extract", str(described), str(tree)]
        self._steps.run(f"unpacking {described.name}", self._inside(unpack, self._work, {}), cwd=self._work)
        return tree

    def _replace_vendored(self, tree: Path, current: Path) -> None:
        vendored = tree / _REPLACED[1]
        shutil.rmtree(vendored)
        shutil.copytree(current, vendored, ignore=shutil.ignore_patterns("*_test.go", "debian", ".*"))

    def _apt(self) -> list[str]:
        """The apt-get command with its own sources, lists and cache."""
        parts = self._work / "sources"
        for folder in (self._work / "lists/partial", self._work / "apt"):
            folder.mkdir(parents=True)
        apt.mirrors(parts, _SUITE, "deb-src")
        settings = {
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": parts,
            "Dir::State::Lists": self._work / "lists",
            "Dir::Cache": self._work / "apt",
            "Acquire::Retries": 3,
            "Acquire::http::Timeout": 20,
            "Acquire::Languages": "none",
            # apt's own user can't write into our folder.
            "APT::Sandbox::User": "root",
        }
        return ["apt-get", "--quiet", *(f"-o{name}={value}" for name, value in settings.items())]

    def _make(self, tree: Path, names: Iterable[str], cgo: str) -> None:
        what = " ".join(f"cmd/{name}" for name in names)
        command = self._inside(["make", f"WHAT={what}"], tree, self._go(cgo))
        self._steps.run(f"building {', '.join(names)}", command, cwd=self._work)

    def _inside(self, argv: Sequence[str], cwd: Path, environment: dict[str, str]) -> list[str]:
        """`argv` in the Debian that builds; nothing of the user's settings gets in."""
        said = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self._work), "LANG": "C.UTF-8", **environment}
        clean = ["env", "-i", f"--chdir={cwd}", *(f"{name}={value}" for name, value in said.items())]
        return debian.entered(self._root, [*clean, *argv], [self._work])

    def _go(self, cgo: str) -> dict[str, str]:
        major, minor, _ = packages.KUBERNETES.removeprefix("v").split(".")
        return {
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

    def _keep(self, tree: Path, names: Iterable[str]) -> None:
        """Copied beside, then renamed: a reader sees no binary or a whole one."""
        for name in names:
            built = next(tree.glob(f"_output/local/bin/*/*/{name}"), None)
            if built is None:
                raise ClusterError(f"make ended well but left no {name}; its log is {self._steps.log}")
            beside = self._work / name
            shutil.copy2(built, beside)
            beside.replace(self._folder / name)
        self._steps.say(f"{', '.join(names)} built")
