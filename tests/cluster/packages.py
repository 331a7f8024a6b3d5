"""Install what this machine lacks of Debian's packages; does nothing, quickly, when all is there.

Run with the system's Python before anything else exists: the standard library only.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# The Kubernetes that a run is on, when the environment variable KUBERNETES does not name another.
DEFAULT_KUBERNETES = "1.37"
# What Debian bookworm's source package holds: the oldest server that Sutler supports.
KUBERNETES = "v1.20.2"
OLDEST = KUBERNETES.removeprefix("v").rpartition(".")[0]
# Counts the ways of building it: binaries built another way are not taken from the cache.
_BUILD = 2

# Each package with what shows that it, or something as good, is there: a program or a file (with wildcards).
# So the user's own containerd and Go are not replaced.
NEEDED = {
    "python3-venv": "/usr/lib/python3*/ensurepip/__init__.py",
    "python3-rados": "/usr/lib/python3/dist-packages/rados*.so",
    "python3-rbd": "/usr/lib/python3/dist-packages/rbd*.so",
    "ceph-common": "ceph",
    "ceph-mon": "ceph-mon",
    "ceph-mgr": "ceph-mgr",
    "ceph-osd": "ceph-osd",
    "etcd-server": "etcd",
    "docker-registry": "docker-registry",
    "apache2-utils": "htpasswd",
    "skopeo": "skopeo",
    "kubernetes-client": "kubectl",
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables",
    "iproute2": "ip",
    "prometheus": "promtool",
    "busybox-static": "/var/lib/dpkg/info/busybox-static.list",
    "curl": "curl",
    "jq": "jq",
    "chromium": "chromium",
    "chromium-driver": "chromedriver",
}
# To make a Debian of another release in a folder, for what it has: a Ceph, the source of the oldest Kubernetes.
NEEDED_FOR_DEBIAN = {
    "mmdebstrap": "mmdebstrap",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "util-linux": "unshare",
}

# A service that a package would start is none of ours, so nothing starts; the user's own policy stays.
_INSTALL = """\
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
install() {
  apt-get install --yes --quiet --no-install-recommends --no-remove -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}
if apt-get install --simulate --no-install-recommends --no-remove "$@" > /dev/null 2>&1 && install "$@"; then
  exit 0
fi
echo "The package lists are missing or old: apt-get update"
apt-get update --quiet || echo "Some lists could not be had; trying with the others"
install "$@"
"""


class CannotInstallError(Exception):
    """Says which packages are missing, and why they can't be installed from here."""


def cache() -> Path:
    """What is made once for all clones of the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sutler"


def kubernetes_cache() -> Path:
    return cache() / "kubernetes" / f"{KUBERNETES}-{_BUILD}"


def kubernetes() -> str:
    """The minor version that a run is on, as in "1.20"."""
    return os.environ.get("KUBERNETES") or DEFAULT_KUBERNETES


def missing(needed: dict[str, str]) -> list[str]:
    return [package for package, sign in needed.items() if not _present(sign)]


def install(packages: list[str]) -> None:
    listed = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise CannotInstallError(f"this machine has no apt-get; install what Debian has in these packages: {listed}")
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    if as_root and shutil.which("sudo") is None:
        raise CannotInstallError(f"neither root nor sudo here; as root, run: apt-get install {listed}")
    print(f"Installing Debian packages{' with sudo' if as_root else ''}: {listed}", flush=True)
    ran = subprocess.run([*as_root, "sh", "-c", _INSTALL, "install", *packages], check=False)
    if ran.returncode != 0:
        raise CannotInstallError(
            f"apt-get could not install {listed} (see above); is the network there, and is this Debian 12 or 13?"
        )


def main() -> int:
    try:
        if packages := missing({**NEEDED, **NEEDED_FOR_DEBIAN}):
            install(packages)
    except CannotInstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _present(sign: str) -> bool:
    if sign.startswith("/"):
        return any(Path("/").glob(sign[1:]))
    # A user's PATH often lacks the sbin folders.
    return shutil.which(sign, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None


if __name__ == "__main__":
    sys.exit(main())
