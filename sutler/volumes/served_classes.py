"""Which StorageClasses Sutler serves, and where their images are. Pure: no I/O."""

from typing import Any

from sutler import well_known
from sutler.volumes.locations import PoolLocation

FILESYSTEMS = ("ext4", "ext3", "xfs", "btrfs")
"""Filesystems that a volume can be formatted with; the first is the default."""
TRUE = {"1", "t", "T", "TRUE", "true", "True"}
FALSE = {"0", "f", "F", "FALSE", "false", "False"}
"""The spellings of booleans in parameters. They are ceph-csi's, which parses them with Go's strconv.ParseBool."""
IN_TREE = ("adminSecretName", "userSecretName")
"""Parameters that only classes of the provisioners kubernetes.io/rbd and ceph.com/rbd have. Both provisioners require
them."""
_YES = {"rbd", "1", "t", "true", "yes", "on"}
_NO = {"off", "0", "f", "false", "no", "none"}


def is_sutler_class(obj: dict[str, Any]) -> bool:
    """Whether Sutler serves the StorageClass: by its annotation; if that is missing or unclear, by its provisioner."""
    value = _provision_annotation(obj)
    return value in _YES or (value not in _NO and bool(obj["provisioner"] == well_known.PROVISIONER))


def unclear_annotation(obj: dict[str, Any]) -> str:
    """Returns what is wrong with the annotation `sutler.dev/provision`; empty: nothing."""
    value = _provision_annotation(obj)
    if not value and any(key.lower() == well_known.PROVISION for key in obj["metadata"].get("labels") or {}):
        return f"label {well_known.PROVISION} has no effect: write it as an annotation"
    if value in _YES or value in _NO or not value:
        return ""
    return f"annotation {well_known.PROVISION}: {value!r} is not understood: write rbd, or off"


def class_of(claim: dict[str, Any]) -> str:
    """Returns the name of the claim's StorageClass; the old annotation takes precedence, as in Kubernetes."""
    annotations = claim["metadata"].get("annotations") or {}
    return str(annotations.get(well_known.BETA_CLASS) or claim["spec"].get("storageClassName") or "")


def pool_location(obj: dict[str, Any]) -> PoolLocation:
    """Returns where the images of the class are."""
    return PoolLocation(parameter(obj, "clusterID"), parameter(obj, "pool"), parameter(obj, "radosNamespace"))


def volume_source(obj: dict[str, Any]) -> str:
    """Returns `csi`, `rbd` or another value that the class gives. The in-tree provisioners' classes mean `rbd`."""
    return parameter(obj, "volumeSource") or ("rbd" if any(parameter(obj, name) for name in IN_TREE) else "csi")


def parameter(obj: dict[str, Any], name: str) -> str:
    """Returns the parameter's value, by any case of its name: the in-tree provisioner ignored the case."""
    given = obj.get("parameters") or {}
    if name in given:
        return str(given[name])
    return next((str(value) for key, value in given.items() if key.lower() == name.lower()), "")


def _provision_annotation(obj: dict[str, Any]) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    # Kubernetes accepts upper case in the prefix, too.
    values = {key.lower(): value for key, value in annotations.items()} | annotations
    return str(values.get(well_known.PROVISION, "")).strip().lower()
