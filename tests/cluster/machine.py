"""What a node needs of the machine that it runs on."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster import binaries, cgroups, images
from tests.cluster.room import Room

PROGRAMS = {
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
}
_CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
_CNI_PLUGINS = ("bridge", "host-local", "loopback")
ROOM = [sys.executable, "-m", "tests.cluster.room"]
REPOSITORY = Path(__file__).parents[2]


def missing() -> list[str]:
    """What keeps a node from running here, each with the way out; empty when nothing does."""
    if os.geteuid() != 0:
        return ["root: namespaces, cgroups and mounts are made by root only"]
    present = binaries.present()
    # What can be built is, when the node starts.
    if text := present.lacking(*binaries.NODE):
        return [text]
    programs = PROGRAMS if present.builds_containerd else {**PROGRAMS, "containerd": "containerd", "ctr": "containerd"}
    lacks = [f"{name}: apt-get install {package}" for name, package in programs.items() if shutil.which(name) is None]
    if cni_folder() is None:
        lacks.append("CNI plugins: apt-get install containernetworking-plugins")
    if not images.BUSYBOX.exists():
        lacks.append(f"{images.BUSYBOX}: apt-get install busybox-static")
    if controllers := cgroups.lacking(cgroups.ours()):
        lacks.append(f"cgroup controllers {', '.join(controllers)}: enable them for this machine or container")
    return lacks or rehearse()


def cni_folder() -> Path | None:
    complete = [one for one in _CNI_FOLDERS if all((one / plugin).exists() for plugin in _CNI_PLUGINS)]
    return complete[0] if complete else None


def rehearse() -> list[str]:
    """Furnish an empty room, and say what the kernel refused."""
    with tempfile.TemporaryDirectory(prefix="room-") as folder:
        description = Path(folder, "room.json")
        description.write_text(Room(Path(folder).name, {}, {}, [], []).dumps())
        ran = subprocess.run(
            [*ROOM, description], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
        )
    if ran.returncode == 0:
        return []
    said = (ran.stdout + ran.stderr).strip().splitlines() or [f"exit status {ran.returncode}"]
    return [f"namespaces and cgroups: {said[-1]}; in a container, run it privileged"]


def snapshotter(state: Path) -> str:
    """Overlayfs where `state` lies on a file system that can carry one, else the "native" one, which copies."""
    with tempfile.TemporaryDirectory(prefix="overlay-", dir=state) as folder:
        parts = {name: Path(folder, name) for name in ("lower", "upper", "work", "merged")}
        for part in parts.values():
            part.mkdir()
        options = f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}"
        ran = subprocess.run(  # in a mount namespace of its own: gone when it ends
            ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, parts["merged"]],
            capture_output=True,
            timeout=30,
            check=False,
        )
    return "overlayfs" if ran.returncode == 0 else "native"
