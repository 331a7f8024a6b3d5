"""Limits of a volume's input and output, and how images and volumes record them. Pure: no I/O.

ceph-csi's node plugin reads them from the image's metadata when a Pod starts, and limits the Pod's cgroup.
"""

from collections.abc import Mapping

KEY_PREFIX = ".rbd.csi.ceph.com/cgroup_qos_"
"""Copies and clones of an image do not inherit metadata whose key begins with a dot."""
METADATA_KEYS = {
    "maxReadIops": KEY_PREFIX + "max_read_iops",
    "maxWriteIops": KEY_PREFIX + "max_write_iops",
    "maxReadBps": KEY_PREFIX + "max_read_bps",
    "maxWriteBps": KEY_PREFIX + "max_write_bps",
}
"""The limits by their names in classes → the keys of the image's metadata that ceph-csi's node plugin reads."""

Limits = Mapping[str, int]
"""Operations or bytes a second by the names of the limits."""


def limits_metadata(limits: Limits) -> dict[str, str]:
    """Returns the metadata of an image with these limits."""
    return {METADATA_KEYS[name]: str(value) for name, value in limits.items()}


def limits_in_metadata(metadata: Mapping[str, str]) -> dict[str, int]:
    """Returns the limits that the image's metadata has. `max`, which ceph-csi may have written, is none."""
    found = {name: metadata.get(key, "") for name, key in METADATA_KEYS.items()}
    return {name: int(value) for name, value in found.items() if value.isascii() and value.isdecimal()}


def outdated_limits(metadata: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Returns the keys of limits in an image's metadata that the `wanted` metadata does not have."""
    return [key for key in metadata if key.startswith(KEY_PREFIX) and key not in wanted]


def render_limits(limits: Limits) -> str:
    """Returns the limits as an annotation of a PersistentVolume has them: maxReadIops=1000,maxReadBps=1048576."""
    return ",".join(f"{name}={limits[name]}" for name in METADATA_KEYS if name in limits)


def parse_limits(text: str) -> dict[str, int]:
    """Parses the annotation. Parts that Sutler did not write are skipped."""
    parts = (part.partition("=") for part in text.split(","))
    return {
        name: int(value) for name, _, value in parts if name in METADATA_KEYS and value.isascii() and value.isdecimal()
    }
