"""What is said of the room in pools: pure."""

import hashlib
from collections.abc import Mapping

from provisioner.ceph.model import PoolSpace
from sutler.quantity import of_bytes, parse
from sutler.typedefs import Json

LABELS = {"app.kubernetes.io/managed-by": "sutler", "app.kubernetes.io/component": "volumes"}
COARSE = 1 << 20
"""Bytes: capacities are told in whole ones of these."""
NOTABLE = 0.01
"""By how much of itself a capacity must change to be told anew: each time costs a write."""
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def in_words(pool: str, space: PoolSpace) -> str:
    """For somebody whose claim has just failed for lack of it."""
    objects = f"{space.objects} of {space.most_objects} objects" if space.most_objects else f"{space.objects} objects"
    quota = f" of its quota of {_size(space.quota)}" if space.quota is not None else ""
    return (
        f"pool {pool} holds {_size(space.stored)}{quota} in {objects}, its disks have room for {_size(space.available)}"
    )


def capacity_name(storage_class: str) -> str:
    return f"sutler-{hashlib.sha256(storage_class.encode()).hexdigest()[:16]}"


def capacity_of(storage_class: str, free: int) -> Json:
    """The CSIStorageCapacity that tells the scheduler how much the class has left, on every node the same."""
    return {
        "metadata": {"name": capacity_name(storage_class), "labels": LABELS},
        "storageClassName": storage_class,
        "nodeTopology": {},
        "capacity": str(of_bytes(free // COARSE * COARSE)),
    }


def changes(there: Mapping[str, Json], wanted: Mapping[str, Json], kept: set[str]) -> tuple[list[Json], list[str]]:
    """Which objects are to be written, and the names of those that are to go.

    `kept`: names of those about which nothing is known at the moment.
    """
    news = {
        name: body
        for name, body in wanted.items()
        if name not in there or _differs(there[name]["capacity"], body["capacity"])
    }
    return list(news.values()), [name for name in there if name not in wanted and name not in kept]


def _differs(old: str, new: str) -> bool:
    before, now = parse(old).round_up(), parse(new).round_up()
    return abs(before - now) > before * NOTABLE or (before == 0) != (now == 0)


def _size(count: int) -> str:
    size, unit = float(count), 0
    while size >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - what the units are apart
        size, unit = size / 1024, unit + 1
    return f"{count} {_UNITS[0]}" if unit == 0 else f"{size:.4g} {_UNITS[unit]}"
