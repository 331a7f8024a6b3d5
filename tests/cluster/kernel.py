"""The few system calls that Python 3.11 has no names for: mount, umount2, unshare, prctl."""

import ctypes
import os
import signal
from pathlib import Path

NEW_MOUNTS = 0x00020000
NEW_CGROUPS = 0x02000000
NEW_PROCESSES = 0x20000000

BIND = 0x1000
REMOUNT = 0x20
READ_ONLY = 0x1
RECURSIVE = 0x4000
PRIVATE = 0x40000
SHARED = 0x100000

_DETACH = 2
_SET_PARENT_DEATH_SIGNAL = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str | Path, target: str | Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    _check(
        _libc.mount(str(source).encode(), str(target).encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()),
        f"mount {kind or source} on {target}",
    )


def unmount(target: str | Path) -> None:
    """Detach the mount at once; the kernel drops it when nothing uses it any more."""
    _check(_libc.umount2(str(target).encode(), _DETACH), f"unmount {target}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare namespaces")


def signal_when_parent_ends(sig: signal.Signals) -> None:
    _check(_libc.prctl(_SET_PARENT_DEATH_SIGNAL, int(sig), 0, 0, 0), "prctl")
