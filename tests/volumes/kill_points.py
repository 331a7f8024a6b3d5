"""`provisioner volumes` that kills itself, with SIGKILL, right before or right after its n-th call to another program.

Run as `python -m tests.volumes.kill_points volumes ...` with SUTLER_TEST_KILL=N:before or N:after. Every call that it
makes for a volume is counted, to the API server and to Ceph; leases, events, watches and comparisons are not.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from provisioner import __main__ as program
from provisioner.ceph import (
    adoption,
    clone_intents,
    clones,
    csi_journal,
    fast_create,
    flattening,
    image_lookup,
    images,
    metadata_update,
    parking,
    removal,
    volume_snapshots,
)
from sutler.kube.transport import Call, Transport

_ABOUT_VOLUMES = ("persistentvolumeclaims", "persistentvolumes", "volumesnapshots", "volumesnapshotcontents")
_CEPH = [
    (images, ["create_trash_object"]),
    (fast_create, ["_execute"]),
    (image_lookup, ["describe"]),
    (csi_journal, ["reserve", "complete", "remove"]),
    (clone_intents, ["record", "remove"]),
    (volume_snapshots, ["create", "delete"]),
    (clones, ["replace_metadata"]),
    (flattening, ["flatten"]),
    (parking, ["write_owned_metadata", "find_parked"]),
    (adoption, ["describe", "read_metadata", "replace_metadata", "write_metadata", "remove_metadata_key"]),
    (metadata_update, ["replace_metadata"]),
]
_LIBRBD = ["remove", "trash_move", "trash_restore", "clone"]


class Killer:
    def __init__(self, order: str) -> None:
        number, _, self._moment = order.partition(":")
        self._number = int(number)
        self._count = itertools.count(1)

    def begins(self, name: str) -> int:
        number = next(self._count)
        # One write: calls come from several threads.
        os.write(2, f"point {number} {name}\n".encode())
        self._kill(number, "before")
        return number

    def ends(self, number: int) -> None:
        self._kill(number, "after")

    def _kill(self, number: int, moment: str) -> None:
        if (number, moment) == (self._number, self._moment):
            os.kill(os.getpid(), signal.SIGKILL)


def counted(killer: Killer, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def inner(*args: Any, **kwargs: Any) -> Any:
        number = killer.begins(name)
        try:
            return call(*args, **kwargs)
        finally:
            killer.ends(number)

    return inner


class CountedLibrbd:
    def __init__(self, killer: Killer, librbd: Any) -> None:
        self._librbd = librbd
        for name in _LIBRBD:
            setattr(self, name, counted(killer, f"rbd {name}", getattr(librbd, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._librbd, name)


def count_everything(killer: Killer) -> None:
    for module, names in _CEPH:
        for name in names:
            setattr(module, name, counted(killer, f"ceph {name}", getattr(module, name)))
    removal._LIBRBD = CountedLibrbd(killer, removal._LIBRBD)
    adoption._LIBRBD = CountedLibrbd(killer, adoption._LIBRBD)
    clones._LIBRBD = CountedLibrbd(killer, clones._LIBRBD)
    # A resize happens inside of librbd's image.
    images.resize = counted(killer, "rbd resize", images.resize)
    send = Transport.send

    async def counted_send(self: Transport, call: Call, *args: Any, **kwargs: Any) -> bytes:
        # Lists have no name at their ends.
        if not any(
            f"/{plural}/" in call.path or call.method == "POST" for plural in _ABOUT_VOLUMES if plural in call.path
        ):
            return await send(self, call, *args, **kwargs)
        number = killer.begins(call.name)
        try:
            return await send(self, call, *args, **kwargs)
        finally:
            killer.ends(number)

    Transport.send = counted_send  # type: ignore[method-assign] # the one door to the API server


if __name__ == "__main__":
    count_everything(Killer(os.environ.get("SUTLER_TEST_KILL", "0:never")))
    sys.exit(program.main(sys.argv[1:]))
