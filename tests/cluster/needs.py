"""What a test needs of the releases that a run is on: `@pytest.mark.needs(kubernetes="1.31", why="…")`.

Each is the first release that will do, `before_…` the first one that will not any more.
"""

import functools
import re
import subprocess
from collections.abc import Callable, Mapping

from tests.cluster import binaries, ceph_programs
from tests.cluster.errors import ClusterError

_BEFORE = "before_"
Version = tuple[int, ...]


def lacking(why: str, **needed: str) -> str:
    """Why a test can't run on these releases, as the reason for skipping it; empty when it can."""
    for name, wanted in needed.items():
        what = name.removeprefix(_BEFORE)
        present = _PRESENT[what]()
        if (present < version(wanted)) is not name.startswith(_BEFORE):
            bound = f"{what} before {wanted}" if name.startswith(_BEFORE) else f"{what} {wanted} or newer"
            return f"needs {bound}, and this is {'.'.join(map(str, present))}: {why}"
    return ""


def version(text: str) -> Version:
    """The numbers of a version; "1.20" is (1, 20)."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def _kubernetes() -> Version:
    return (1, binaries.present().minor)


def _ceph() -> Version:
    return version(ceph_programs.named())


def _containerd() -> Version:
    return version(binaries.present().containerd_version)


@functools.cache
def _kubectl() -> Version:
    said = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"v(\d+\.\d+)\.", said.stdout)
    if found is None:
        raise ClusterError(f"kubectl says {said.stdout or said.stderr!r}, which is no version")
    return version(found[1])


_PRESENT: Mapping[str, Callable[[], Version]] = {
    "kubernetes": _kubernetes,
    "kubectl": _kubectl,
    "containerd": _containerd,
    "ceph": _ceph,
}
