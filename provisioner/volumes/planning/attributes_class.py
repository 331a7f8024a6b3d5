"""Parses VolumeAttributesClasses. Pure: no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.volumes.planning import parameter_values
from provisioner.volumes.planning.parameter_values import ParameterReader
from sutler.errors import SutlerError
from sutler.typedefs import Json
from sutler.volumes.limits import METADATA_KEYS
from sutler.well_known import PROVISIONER

NBD = "rbd-nbd"
"""The mounter that maps images by a process instead of the kernel."""
_CANONICAL = {name.lower(): name for name in METADATA_KEYS}


class AttributesClassError(SutlerError):
    """Lists all problems of a VolumeAttributesClass. The class can't be changed: another one is needed."""


class AttributesClassMissing(AttributesClassError):  # noqa: N818 - a state, not an error
    """The VolumeAttributesClass does not exist, or not yet."""


@dataclass(frozen=True, slots=True)
class VolumeAttributes:
    """What a VolumeAttributesClass requests."""

    name: str
    limits: Mapping[str, int | None]
    """By the names of the limits; None: no limit, even if the StorageClass has one."""


def parse_attributes_class(name: str, obj: Json | None) -> VolumeAttributes:
    """Parses the VolumeAttributesClass of this name. Raises AttributesClassError; None: AttributesClassMissing."""
    if obj is None:
        raise AttributesClassMissing(
            f"VolumeAttributesClass {name} does not exist: create it, or set volumeAttributesClassName to another one"
        )
    driver = obj["driverName"]
    if driver != PROVISIONER:
        raise AttributesClassError(
            f"VolumeAttributesClass {name} has driverName {driver}: use one whose driverName is {PROVISIONER}"
        )
    given: dict[str, str] = {}
    problems = []
    for key, value in (obj.get("parameters") or {}).items():
        canonical = _CANONICAL.get(key.lower())
        if canonical is None:
            problems.append(f"unknown parameter {key}: known are {', '.join(METADATA_KEYS)}")
        elif given.setdefault(canonical, value) != value:
            problems.append(f"{key}: {canonical} is given twice, with different values")
    reader = ParameterReader(given)
    limits = read_limits(reader)
    if problems := problems + reader.problems:
        raise AttributesClassError(
            f"VolumeAttributesClass {name}: {'; '.join(problems)}; parameters can't be changed, so use another "
            "VolumeAttributesClass"
        )
    return VolumeAttributes(name, limits)


def read_limits(reader: ParameterReader) -> dict[str, int | None]:
    """Returns the limits that are given. Problems are collected by the reader."""
    absent: int | None = 0
    given = {name: reader.read(name, parameter_values.limit, absent) for name in METADATA_KEYS}
    return {name: value for name, value in given.items() if value != absent}


def unlimitable(volume_source: str, options: Mapping[str, str]) -> str:
    """Returns why nodes apply no limits to such volumes; empty: they do. `options`: those of the node plugin."""
    if volume_source == "rbd":
        return "volumeSource rbd, and the kubelet applies no limits to in-tree volumes"
    if options.get("mounter") == NBD:
        return f"mounter {NBD}, and the node plugin applies the limits to images that the kernel maps"
    return ""


def effective_limits(*given: Mapping[str, int | None]) -> dict[str, int]:
    """Returns the limits that apply, where each argument overrides those before it: StorageClass, then attributes."""
    merged = {name: value for limits in given for name, value in limits.items()}
    return {name: value for name, value in merged.items() if value is not None}
