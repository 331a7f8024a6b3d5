"""A Debian of any release in a folder: made once into the cache, entered by a mount namespace and chroot.

Nothing stays mounted: the namespace ends with the process that entered. The process keeps its id, so signals and the
parent-death signal reach the program inside.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.cluster import apt, packages, steps
from tests.cluster.errors import ClusterError

# Counts the ways of making one: a folder that was made another way is not used.
_MAKE = 1
_SPACE = 3 << 30
_MINUTES = 3
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")
_ENTER = Path(__file__).with_name("enter.sh")


def folder(name: str) -> Path:
    return packages.cache() / "debian" / f"{name}-{_MAKE}"


def ensured(name: str, suite: str, include: Sequence[str]) -> Path:
    """The folder of a Debian `suite` with the packages `include`; made now when the cache has none.

    Raises:
        ClusterError: what is missing on this machine or failed, and the way out.
    """
    target = folder(name)
    root = target / "root"
    if root.exists():
        return root
    _check()
    with steps.locked(target, f"a Debian {suite}"):
        if not root.exists():
            _check_space(target)
            _make(target, suite, include)
    return root


def entered(root: Path, command: Sequence[str | Path], visible: Iterable[Path]) -> list[str]:
    """`command` as it runs in `root`, where the folders `visible` of this machine are at their own places."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    shown = dict.fromkeys(str(one.absolute()) for one in (Path(tempfile.gettempdir()), *visible))
    unshare = ["unshare", *user, "--mount", "--propagation", "private", "--"]
    return [*unshare, "/bin/sh", str(_ENTER), str(root), *shown, "--", *map(str, command)]


def _check() -> None:
    if missing := packages.missing(packages.NEEDED_FOR_DEBIAN):
        raise ClusterError(
            f"making a Debian of another release needs the packages {' '.join(missing)}. As root (or with sudo):"
            f" apt-get install --no-install-recommends {' '.join(missing)}"
        )


def _check_space(target: Path) -> None:
    free = shutil.disk_usage(target).free
    if free < _SPACE:
        raise ClusterError(
            f"a Debian takes up to {_SPACE >> 30} GiB, and {target} has {free / (1 << 30):.1f} GiB free."
            " Free some space, or point XDG_CACHE_HOME elsewhere"
        )


def _make(target: Path, suite: str, include: Sequence[str]) -> None:
    """Whole or not at all: it gets its name when it is complete."""
    for left in target.glob("make-*"):  # by a maker that was killed: we have the lock
        shutil.rmtree(left)
    log = steps.Steps(target / "make.log")
    log.say(f"Making a Debian {suite} once, about {_MINUTES} minutes; log: {log.log}")
    with tempfile.TemporaryDirectory(prefix="make-", dir=target) as name:
        work = Path(name)
        options = ['Acquire::Languages "none";', "Acquire::Retries 3;", *apt.transport()]
        command = [
            "mmdebstrap",
            "--variant=minbase",
            "--format=directory",
            f"--include={','.join(include)}",
            *(f"--aptopt={option}" for option in options),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
            suite,
            str(work / "root"),
            *map(str, apt.mirrors(work / "sources", suite, "deb")),
        ]
        log.run(f"installing {', '.join(include)} of Debian {suite}", command, cwd=work)
        (work / "root").rename(target / "root")
    log.say(f"done: {target / 'root'}")
