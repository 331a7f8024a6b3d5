"""Reads the data source of a claim, and decides whether it can be cloned for the claim. Pure: no I/O."""

from collections.abc import Collection
from dataclasses import dataclass

from sutler import well_known
from sutler.errors import SutlerError
from sutler.quantity import QuantityError, parse
from sutler.typedefs import Json
from sutler.volumes import snapshot_keys
from sutler.volumes.locations import is_sutler_volume
from sutler.volumes.snapshot_handle import SnapshotHandle, parse_snapshot_handle

SNAPSHOT, CLAIM = "VolumeSnapshot", "PersistentVolumeClaim"
_GROUPS = {SNAPSHOT: {None, "", snapshot_keys.SNAPSHOT_GROUP}, CLAIM: {None, ""}}
_NO_CLONES = ("btrfs",)
"""Filesystems of which a node can't mount a clone beside its source: both have the same identity for the kernel."""


class SourceObstacle(SutlerError):  # noqa: N818 - an obstacle, not an error
    """Why the source can't be cloned for the claim now, and what to do about it."""

    def __init__(self, text: str, *, temporary: bool = False) -> None:
        """`temporary`: the obstacle may disappear without a change by a user."""
        super().__init__(text)
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class DataSource:
    kind: str
    """VolumeSnapshot, PersistentVolumeClaim, or the kind of a populator."""
    namespace: str
    name: str

    @property
    def is_populated(self) -> bool:
        """Whether a volume populator serves the source."""
        return self.kind not in _GROUPS

    @property
    def key(self) -> str:
        """kind/namespace/name."""
        return f"{self.kind}/{self.namespace}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    handle: SnapshotHandle
    filesystem: str
    """The filesystem of the volume that the snapshot is of; empty: unknown, or none."""


def parse_data_source(claim: Json) -> DataSource | None:
    """Returns the source that the claim requests. Of the two fields, dataSourceRef has the whole request."""
    spec, namespace = claim["spec"], claim["metadata"]["namespace"]
    found = spec.get("dataSourceRef") or spec.get("dataSource")
    if not found:
        return None
    kind, group = str(found.get("kind", "")), found.get("apiGroup")
    if kind in _GROUPS and group not in _GROUPS[kind]:
        kind = f"{kind}.{group}"
    return DataSource(kind, found.get("namespace") or namespace, str(found.get("name", "")))


def source_problem(source: DataSource, namespace: str, *, filesystem: str, features: Collection[str]) -> str:
    """Returns why a class can't clone the source; empty: it can.

    Args:
        source: of the claim.
        namespace: of the claim.
        filesystem: with which the class would mount the clone; empty for a block device.
        features: of the class's images.
    """
    if source.namespace != namespace:
        return (
            f"Sutler does not serve dataSourceRef.namespace {source.namespace}: use a source in the claim's namespace"
        )
    if "layering" not in features:
        return f"to clone {source}, the class needs layering among its imageFeatures"
    return filesystem_problem(source, filesystem)


def filesystem_problem(source: DataSource, filesystem: str) -> str:
    if filesystem not in _NO_CLONES:
        return ""
    return (
        f"Sutler does not clone {source}: a node can't tell a clone with {filesystem} from its source, and mixes up "
        "their data; copy the data with a Pod"
    )


def snapshot_source(
    source: DataSource, snapshot: Json, content: Json, drivers: Collection[str], *, volume_mode: str, size: int
) -> SnapshotSource:
    """Returns what to clone. Raises SourceObstacle.

    Args:
        source: the VolumeSnapshot.
        snapshot: the object.
        content: the VolumeSnapshotContent that it is bound to.
        drivers: the names of the drivers whose snapshots Sutler serves.
        volume_mode: of the claim.
        size: that the claim requests, in bytes.
    """
    require_ready_snapshot(source, snapshot)
    metadata, spec, status = content["metadata"], content["spec"], content.get("status") or {}
    reference, own = spec.get("volumeSnapshotRef") or {}, snapshot["metadata"]
    if tuple(reference.get(key) for key in ("uid", "namespace", "name")) != (own["uid"], own["namespace"], own["name"]):
        raise SourceObstacle(f"{source}: its VolumeSnapshotContent {metadata['name']} belongs to another snapshot")
    if spec.get("driver") not in drivers:
        raise SourceObstacle(
            f"{source} is of driver {spec.get('driver')}, and Sutler serves {', '.join(sorted(drivers))}: use a class "
            "of that driver"
        )
    if metadata.get("deletionTimestamp"):
        raise SourceObstacle(f"{source}: its VolumeSnapshotContent {metadata['name']} is being deleted")
    text = status.get("snapshotHandle")
    if not status.get("readyToUse") or not text:
        raise SourceObstacle(f"{source} is not ready yet", temporary=True)
    handle = parse_snapshot_handle(text)
    if handle is None:
        raise SourceObstacle(f"{source}: its snapshotHandle {text} is not a snapshot of Sutler's")
    _require_size(source, size, int(status.get("restoreSize") or 0))
    annotations = metadata.get("annotations") or {}
    mode = spec.get("sourceVolumeMode") or volume_mode
    if mode != volume_mode and annotations.get(snapshot_keys.ALLOW_MODE_CHANGE) != "true":
        raise SourceObstacle(
            f"{source} is of a volume with volumeMode {mode}, and the claim requests {volume_mode}: an administrator "
            f'allows that with annotation {snapshot_keys.ALLOW_MODE_CHANGE}: "true" on VolumeSnapshotContent '
            f"{metadata['name']}"
        )
    return SnapshotSource(handle, annotations.get(well_known.FILESYSTEM, ""))


def require_ready_snapshot(source: DataSource, snapshot: Json) -> str:
    """Returns the name of the snapshot's content. Raises SourceObstacle."""
    status = snapshot.get("status") or {}
    if snapshot["metadata"].get("deletionTimestamp"):
        raise SourceObstacle(f"{source} is being deleted")
    name = status.get("boundVolumeSnapshotContentName")
    if not name or not status.get("readyToUse"):
        why = (status.get("error") or {}).get("message")
        raise SourceObstacle(f"{source} is not ready yet{f': {why}' if why else ''}", temporary=True)
    return str(name)


def require_cloneable(source: DataSource, claim: Json, volume: Json | None, *, volume_mode: str, size: int) -> str:
    """Returns the filesystem of the source claim, empty for a block device. Raises SourceObstacle.

    Args:
        source: the claim that is to be cloned.
        claim: the object.
        volume: its PersistentVolume.
        volume_mode: of the new claim.
        size: that the new claim requests, in bytes.
    """
    spec, status = claim["spec"], claim.get("status") or {}
    if claim["metadata"].get("deletionTimestamp"):
        raise SourceObstacle(f"{source} is being deleted")
    if status.get("phase") != "Bound" or volume is None:
        raise SourceObstacle(f"{source} is not bound yet", temporary=True)
    reference = volume["spec"].get("claimRef") or {}
    if reference.get("uid") != claim["metadata"]["uid"] or volume["metadata"].get("deletionTimestamp"):
        raise SourceObstacle(f"{source}: its volume {volume['metadata']['name']} is not the claim's, or is deleted")
    if not is_sutler_volume(volume):
        raise SourceObstacle(f"{source} has volume {volume['metadata']['name']}, which is not one of Sutler's")
    mode = spec.get("volumeMode") or "Filesystem"
    if mode != volume_mode:
        raise SourceObstacle(f"{source} has volumeMode {mode}, and the claim requests {volume_mode}: request {mode}")
    try:
        has = max(parse(one["capacity"]["storage"]).round_up() for one in (volume["spec"], status))
    except (QuantityError, KeyError):
        raise SourceObstacle(f"{source} shows no capacity yet", temporary=True) from None
    _require_size(source, size, has)
    source_spec = volume["spec"].get("csi") or volume["spec"].get("rbd") or {}
    return str(source_spec.get("fsType", "")) if mode == "Filesystem" else ""


def _require_size(source: DataSource, size: int, needed: int) -> None:
    if size < needed:
        raise SourceObstacle(f"{source} has {needed} bytes, more than the requested {size}: request {needed} or more")
