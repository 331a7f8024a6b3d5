"""Describes the capacity of pools, in words and as CSIStorageCapacity objects. Pure: no I/O."""

import hashlib
from collections.abc import Mapping

from provisioner.ceph.model import PoolSpace
from sutler import well_known
from sutler.quantity import of_bytes, parse
from sutler.typedefs import Json

LABELS = {well_known.MANAGED_BY: well_known.MANAGER, well_known.COMPONENT: "volumes"}
UNIT = 1 << 20
"""Bytes: capacities are published in multiples of this."""
MINIMUM_CHANGE = 0.01
"""The relative change from which on a capacity is published again, since each costs a write."""
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def describe_space(pool: str, space: PoolSpace) -> str:
    """Returns how full a pool is, for the event on a claim that failed because the pool is full."""
    objects = f"{space.objects} of {space.quota_objects} objects" if space.quota_objects else f"{space.objects} objects"
    quota = f" of its quota of {_size(space.quota)}" if space.quota is not None else ""
    return (
        f"pool {pool} holds {_size(space.stored)}{quota} in {objects}; its disks can store another "
        f"{_size(space.available)}"
    )


def capacity_name(storage_class: str) -> str:
    return f"sutler-{hashlib.sha256(storage_class.encode()).hexdigest()[:16]}"


def render_capacity(storage_class: str, free: int) -> Json:
    """Renders the CSIStorageCapacity that shows the scheduler the free bytes of a class, the same on all nodes."""
    return {
        "metadata": {"name": capacity_name(storage_class), "labels": LABELS},
        "storageClassName": storage_class,
        "nodeTopology": {},
        "capacity": str(of_bytes(free // UNIT * UNIT)),
    }


def changes(
    existing: Mapping[str, Json], desired: Mapping[str, Json], unknown: set[str]
) -> tuple[list[Json], list[str]]:
    """Returns the objects to write, and the names of those to delete.

    `unknown`: names of objects whose capacity is not known at the moment. They are left as they are.
    """
    changed = {
        name: body
        for name, body in desired.items()
        if name not in existing or _differs(existing[name]["capacity"], body["capacity"])
    }
    return list(changed.values()), [name for name in existing if name not in desired and name not in unknown]


def _differs(old: str, new: str) -> bool:
    before, now = parse(old).round_up(), parse(new).round_up()
    return abs(before - now) > before * MINIMUM_CHANGE or (before == 0) != (now == 0)


def _size(count: int) -> str:
    size, unit = float(count), 0
    while size >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - the step between the units
        size, unit = size / 1024, unit + 1
    return f"{count} {_UNITS[0]}" if unit == 0 else f"{size:.4g} {_UNITS[unit]}"
