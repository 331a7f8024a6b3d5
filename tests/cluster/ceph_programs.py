"""The programs of a Ceph release: this machine's own where they are of it, else those of a Debian that has it.

The environment variable CEPH names the release of the clusters. What connects to them is of this machine's release.
"""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import debian
from tests.cluster.errors import ClusterError

SUITES = {"16": "bookworm", "18": "trixie", "20": "forky"}
"""By the release, the Debian suite that has it."""
DEFAULT = "18"
_AES256K = 20
PACKAGES = ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph-common", "python3-rados", "python3-rbd")
_NEEDED = {"ceph-mon": "ceph-mon", "ceph-mgr": "ceph-mgr", "ceph-osd": "ceph-osd", "ceph": "ceph-common"}


@dataclass(frozen=True)
class Programs:
    release: str
    root: Path | None
    """Of the Debian that they are in; None: they are on PATH."""

    def command(self, argv: Sequence[str | Path], *visible: Path) -> list[str]:
        """`argv` as it runs; the folders `visible` and the temporary one are what it sees of this machine."""
        return [str(word) for word in argv] if self.root is None else debian.entered(self.root, argv, visible)


def named() -> str:
    """The release that CEPH names."""
    release = os.environ.get("CEPH") or DEFAULT
    if release not in SUITES:
        raise ClusterError(f"CEPH={release} is no release of Ceph that can be had here; it is one of {_choice()}")
    return release


def ensured(release: str) -> Programs:
    """The programs of `release`, installed into the cache now where neither it nor this machine has them.

    Raises:
        ClusterError: says what is missing and the way out.
    """
    if release not in SUITES:
        raise ClusterError(f"there is no Ceph {release} here; it is one of {_choice()}")
    if release == of_this_machine():
        return Programs(release, None)
    return Programs(release, debian.ensured(f"ceph-{release}", SUITES[release], PACKAGES))


def of_this_machine() -> str:
    """The release on PATH; empty where a program is missing."""
    return version_of_this_machine().partition(".")[0]


@functools.cache
def version_of_this_machine() -> str:
    """As in 16.2.15, of the programs on PATH, and so of the librados that tests use."""
    missing = [package for program, package in _NEEDED.items() if shutil.which(program) is None]
    if missing:
        return ""
    said = subprocess.run(["ceph-mon", "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    found = re.match(r"ceph version (\S+)", said)
    return found[1] if found else ""


def knows_aes256k(release: str) -> bool:
    """Whether programs of this release read the newer kind of cephx secret."""
    return int(release or 0) >= _AES256K


def clients_know_aes256k() -> bool:
    return knows_aes256k(of_this_machine())


def _choice() -> str:
    return ", ".join(f"{release} (Debian {suite})" for release, suite in SUITES.items())
