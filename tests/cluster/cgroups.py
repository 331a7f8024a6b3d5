"""A cgroup subtree of one's own, in every hierarchy there is: made, entered, removed.

With cgroup v1 it lies under the cgroup that we are in, so that limits set on us hold for it. With v2 it lies at the top
of what we see: there a cgroup that holds processes can't hand controllers on.
"""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import kernel

ROOT = Path("/sys/fs/cgroup")
_VERSION_1 = {"cpu", "cpuacct", "cpuset", "memory"}
_VERSION_2 = {"cpu", "cpuset", "memory", "pids"}
_HANDED_ON = "cgroup.subtree_control"
_REMOVAL_SECONDS = 5.0


@dataclass(frozen=True)
class Hierarchy:
    """One line of /proc/PID/cgroup: its controllers ("" is v2), and where in it that process is."""

    controllers: str
    path: str

    @property
    def mount_point(self) -> Path:
        return ROOT / self.controllers.removeprefix("name=")

    def mount(self) -> None:
        if not self.controllers:
            kernel.mount("cgroup2", ROOT, "cgroup2")
            return
        self.mount_point.mkdir(exist_ok=True)
        options = f"none,{self.controllers}" if self.controllers.startswith("name=") else self.controllers
        kernel.mount("cgroup", self.mount_point, "cgroup", options=options)

    def subtree(self, name: str) -> Path:
        above = self.path.lstrip("/") if self.controllers else ""
        return self.mount_point / above / name


def parse(text: str) -> list[Hierarchy]:
    """What /proc/PID/cgroup says, without the v2 hierarchy where v1 has the controllers."""
    fields = [line.split(":", 2)[1:] for line in text.splitlines()]
    found = [Hierarchy(controllers, path) for controllers, path in fields]
    version1 = [hierarchy for hierarchy in found if hierarchy.controllers]
    return version1 or found or [Hierarchy("", "/")]


def ours() -> list[Hierarchy]:
    return parse(Path("/proc/self/cgroup").read_text())


def lacking(hierarchies: list[Hierarchy]) -> list[str]:
    """The controllers that a kubelet needs and this machine does not offer."""
    if hierarchies[0].controllers:
        offered = {one for hierarchy in hierarchies for one in hierarchy.controllers.split(",")}
        return sorted(_VERSION_1 - offered)
    return sorted(_VERSION_2.difference((ROOT / "cgroup.controllers").read_text().split()))


def mount_all(hierarchies: list[Hierarchy]) -> None:
    """Show them at their usual place, instead of what was shown there: for a mount namespace of one's own."""
    while os.path.ismount(ROOT):  # not just covered: everybody looks for cgroups in the list of mounts
        kernel.unmount(ROOT)
    if hierarchies[0].controllers:
        kernel.mount("tmpfs", ROOT, "tmpfs")
    for hierarchy in hierarchies:
        hierarchy.mount()


def create(hierarchies: list[Hierarchy], name: str) -> list[Path]:
    made = []
    for hierarchy in hierarchies:
        subtree = hierarchy.subtree(name)
        if not hierarchy.controllers:
            _hand_on_controllers(subtree.parent)
        subtree.mkdir()
        made.append(subtree)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if "cpuset" in hierarchy.controllers.split(","):  # v1: empty, and nothing may enter, until copied
                (subtree / setting).write_text((subtree.parent / setting).read_text())
    return made


def existing(name: str) -> list[Path]:
    """Where a subtree of this name was created by a process in our own cgroup, and not removed."""
    return [subtree for hierarchy in ours() if (subtree := hierarchy.subtree(name)).exists()]


def inhabitants(name: str) -> set[int]:
    """Who runs anywhere in it."""
    lists = [file.read_text() for subtree in existing(name) for file in subtree.rglob("cgroup.procs")]
    return {int(pid) for pid in " ".join(lists).split()}


def enter(subtree: Path) -> None:
    (subtree / "cgroup.procs").write_text("0")


def make_room_for_controllers() -> None:
    """With v2, step down into a child of the cgroup that we are in, so that other children may get its controllers."""
    if (ROOT / "cgroup.procs").exists():
        inner = ROOT / "main"
        inner.mkdir()
        enter(inner)
        _hand_on_controllers(ROOT)


def _hand_on_controllers(cgroup: Path) -> None:
    offered, handed_on = ((cgroup / name).read_text().split() for name in ("cgroup.controllers", _HANDED_ON))
    for controller in sorted(_VERSION_2.intersection(offered).difference(handed_on)):
        (cgroup / _HANDED_ON).write_text(f"+{controller}")


def remove(subtree: Path) -> None:
    """Remove it with everything below, waiting for processes that are on their way out."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while subtree.exists():
        for directory, _, _ in os.walk(subtree, topdown=False):
            with contextlib.suppress(OSError):  # still busy, or gone already: the next round tells
                Path(directory).rmdir()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{subtree} still holds processes {(subtree / 'cgroup.procs').read_text().split()}")
        time.sleep(0.02)
