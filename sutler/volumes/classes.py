"""Which StorageClasses are ours, and where their images lie: pure."""

from dataclasses import dataclass
from typing import Any

from sutler.volumes import names


@dataclass(frozen=True, slots=True)
class Where:
    cluster: str
    """clusterID; empty: the only one."""
    pool: str
    namespace: str
    """The RADOS namespace."""

    @property
    def path(self) -> str:
        return f"{self.pool}/{self.namespace}" if self.namespace else self.pool


def is_ours(obj: dict[str, Any]) -> bool:
    annotation = (obj["metadata"].get("annotations") or {}).get(names.PROVISION)
    return bool(annotation == "rbd" if annotation is not None else obj["provisioner"] == names.PROVISIONER)


def where_of(obj: dict[str, Any]) -> Where:
    given = obj.get("parameters") or {}
    return Where(given.get("clusterID", ""), given.get("pool", ""), given.get("radosNamespace", ""))
