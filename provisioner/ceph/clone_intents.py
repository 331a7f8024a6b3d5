"""Records which clones Sutler is about to create in a pool, as blocking calls.

librbd draws the id of a clone at random, and copies the metadata of its parent. If Sutler is killed before it has
written the clone's own metadata, nothing in the image proves whose it is. So the intent is recorded before, in the omap
of one object of the pool, under the clone's name; at that time no image had the name.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from provisioner.ceph import directory
from provisioner.ceph.bindings import rados
from provisioner.ceph.errors import pool_path, translated

_OBJECT = "sutler.clones"
_KEYS_PER_READ = 1000


@dataclass(frozen=True, slots=True)
class CloneIntent:
    owner: str
    """UID of the claim."""
    kubernetes: str
    """UID of the kube-system namespace of the claim's Kubernetes cluster."""
    pool: int
    """The id of the source image's pool; its RADOS namespace and its own id follow."""
    namespace: str
    image: str
    claim: str
    """namespace/name of the claim."""
    temporary: str = ""
    """Name of the snapshot that is created for this clone alone; empty: the source is a snapshot that exists."""

    @property
    def source(self) -> tuple[int, str, str]:
        return self.pool, self.namespace, self.image


def record(ioctx: Any, name: str, intent: CloneIntent) -> None:
    with translated("recording the clone", f"{pool_path(ioctx)}/{name}"), rados.WriteOpCtx() as operation:
        ioctx.set_omap(operation, (name,), (json.dumps(asdict(intent)).encode(),))
        ioctx.operate_write_op(operation, _OBJECT)


def find(ioctx: Any, name: str) -> CloneIntent | None:
    found = dict(directory.read_omap(ioctx, _OBJECT, "", name, 1))
    return _decode(found[name]) if name in found else None


def list_all(ioctx: Any) -> dict[str, CloneIntent]:
    """All intents by the names of the clones; those of other versions that cannot be read are left out."""
    found: dict[str, CloneIntent] = {}
    after = ""
    while page := directory.read_omap(ioctx, _OBJECT, after, "", _KEYS_PER_READ):
        found |= {name: intent for name, value in page if (intent := _decode(value)) is not None}
        after = page[-1][0]
    return found


def remove(ioctx: Any, name: str) -> None:
    """A missing intent is a success."""
    with (
        contextlib.suppress(rados.ObjectNotFound),
        translated("removing the record of the clone", f"{pool_path(ioctx)}/{name}"),
        rados.WriteOpCtx() as operation,
    ):
        ioctx.remove_omap_keys(operation, (name,))
        ioctx.operate_write_op(operation, _OBJECT)


def _decode(value: bytes) -> CloneIntent | None:
    try:
        return CloneIntent(**json.loads(value))
    except (ValueError, TypeError):
        return None
