"""Which StorageClasses are ours, and where their images lie: pure."""

from dataclasses import dataclass
from typing import Any

from sutler.volumes import well_known

TRUE = {"1", "t", "T", "TRUE", "true", "True"}
FALSE = {"0", "f", "F", "FALSE", "false", "False"}
"""The spellings of ceph-csi, which reads them by Go's strconv.ParseBool."""
_YES = {"rbd", "1", "t", "true", "yes", "on"}
_NO = {"off", "0", "f", "false", "no", "none"}
IN_TREE = ("adminSecretName", "userSecretName")
"""Parameters that only classes of the provisioners kubernetes.io/rbd and ceph.com/rbd have; both need them."""


@dataclass(frozen=True, slots=True)
class ClassLocation:
    cluster: str
    """clusterID; empty: the only one."""
    pool: str
    namespace: str
    """The RADOS namespace."""

    @property
    def path(self) -> str:
        return f"{self.pool}/{self.namespace}" if self.namespace else self.pool


def is_ours(obj: dict[str, Any]) -> bool:
    """By its annotation; without one, or with one that says nothing clear, by its provisioner."""
    said = _provision(obj)
    return said in _YES or (said not in _NO and bool(obj["provisioner"] == well_known.PROVISIONER))


def unclear_annotation(obj: dict[str, Any]) -> str:
    """What is wrong with the annotation that says whether the class is ours; empty: nothing."""
    said = _provision(obj)
    if not said and any(key.lower() == well_known.PROVISION for key in obj["metadata"].get("labels") or {}):
        return f"label {well_known.PROVISION} has no effect: write it as an annotation"
    if said in _YES or said in _NO or not said:
        return ""
    return f"annotation {well_known.PROVISION}: {said!r} is not understood: write rbd, or off"


def _provision(obj: dict[str, Any]) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    # Kubernetes takes upper case in the prefix, too.
    said = {key.lower(): value for key, value in annotations.items()} | annotations
    return str(said.get(well_known.PROVISION, "")).strip().lower()


def where_of(obj: dict[str, Any]) -> ClassLocation:
    return ClassLocation(parameter(obj, "clusterID"), parameter(obj, "pool"), parameter(obj, "radosNamespace"))


def volume_source(obj: dict[str, Any]) -> str:
    """`csi` or `rbd`, or what else the class says; a class of the in-tree kind asks for in-tree volumes."""
    return parameter(obj, "volumeSource") or ("rbd" if any(parameter(obj, name) for name in IN_TREE) else "csi")


def parameter(obj: dict[str, Any], name: str) -> str:
    """By any spelling of its name: the in-tree provisioner took upper and lower case for the same."""
    given = obj.get("parameters") or {}
    if name in given:
        return str(given[name])
    return next((str(value) for key, value in given.items() if key.lower() == name.lower()), "")
