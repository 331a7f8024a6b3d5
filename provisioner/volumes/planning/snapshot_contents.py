"""Decides what to do about a VolumeSnapshotContent. Pure: no I/O.

The snapshot-controller, one for each cluster, creates contents and releases their deletion. This table is what
csi-snapshotter does for other drivers: it creates and deletes the snapshots.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sutler import well_known
from sutler.typedefs import Json
from sutler.volumes import snapshot_keys
from sutler.volumes.snapshot_handle import ImageHandle, SnapshotHandle, parse_image_handle, parse_snapshot_handle

SNAPSHOT_PREFIX = "sutler-"
"""A snapshot's name in Ceph is this prefix and the UID of its VolumeSnapshot."""


@dataclass(frozen=True, slots=True)
class CreateSnapshot:
    name: str
    """In Ceph."""
    volume_handle: str
    snapshot: tuple[str, str]
    """namespace and name of the VolumeSnapshot"""
    image: ImageHandle | None
    """The image that an earlier attempt has found: the outcome of that attempt may be unknown."""
    announced: bool
    """Whether the content says that the snapshot is being created."""


@dataclass(frozen=True, slots=True)
class ReadSnapshot:
    """The snapshot exists, as the content says: its size and its time are to be recorded."""

    handle: SnapshotHandle


@dataclass(frozen=True, slots=True)
class DeleteSnapshot:
    handle: SnapshotHandle


@dataclass(frozen=True, slots=True)
class ReleaseContent:
    """Remove the finalizer only: there is no snapshot, or it is kept."""


@dataclass(frozen=True, slots=True)
class CompleteContent:
    """The snapshot is ready: the content need not say any more that it is being created."""


@dataclass(frozen=True, slots=True)
class KeepContent:
    """Nothing is to be done, or not yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class ContentUnclear:
    """The content can't be served as it is."""

    message: str


Decision = (
    CreateSnapshot | ReadSnapshot | DeleteSnapshot | ReleaseContent | CompleteContent | KeepContent | ContentUnclear
)


def decide(content: Json, drivers: Collection[str]) -> Decision:
    """`drivers`: the names of the drivers whose contents Sutler serves."""
    metadata, spec = content["metadata"], content["spec"]
    annotations = metadata.get("annotations") or {}
    if spec.get("driver") not in drivers:
        return KeepContent("its driver is not Sutler's")
    if snapshot_keys.GROUP_HANDLE in annotations:
        return KeepContent("it belongs to a group of snapshots")
    if metadata.get("deletionTimestamp"):
        if snapshot_keys.CONTENT_FINALIZER not in (metadata.get("finalizers") or []):
            return KeepContent("Sutler has finished its deletion")
        if _is_deletable(spec, annotations):
            return _delete(content)
        if snapshot_keys.BEING_CREATED not in annotations:
            return KeepContent("the snapshot-controller has not released its deletion")
    return _create(content)


def _is_deletable(spec: Json, annotations: Json) -> bool:
    """Whether the snapshot-controller has released the deletion, and no outcome of a creation is unknown."""
    if spec["source"].get("snapshotHandle") and not (spec.get("volumeSnapshotRef") or {}).get("uid"):
        return True
    return snapshot_keys.BEING_CREATED not in annotations and snapshot_keys.BEING_DELETED in annotations


def _delete(content: Json) -> Decision:
    text = (content.get("status") or {}).get("snapshotHandle")
    if content["spec"].get("deletionPolicy") != "Delete" or not text:
        return ReleaseContent()
    handle = parse_snapshot_handle(text)
    if handle is None:
        return ContentUnclear(
            f"snapshotHandle {text} is not a snapshot of Sutler's: the content is kept; set its deletionPolicy to "
            "Retain to delete the content alone"
        )
    return DeleteSnapshot(handle)


def _create(content: Json) -> Decision:
    metadata, spec, status = content["metadata"], content["spec"], content.get("status") or {}
    annotations, source = metadata.get("annotations") or {}, spec["source"]
    text = status.get("snapshotHandle") or source.get("snapshotHandle")
    if text and status.get("readyToUse"):
        return CompleteContent() if snapshot_keys.BEING_CREATED in annotations else KeepContent("it is ready")
    if text:
        handle = parse_snapshot_handle(text)
        if handle is None:
            return ContentUnclear(
                f"snapshotHandle {text} is not a snapshot of Sutler's: it has the form "
                "sutler-1/CLUSTER/POOL/NAMESPACE/IMAGE/SNAPSHOT with ids, as status.snapshotHandle of other contents"
            )
        return ReadSnapshot(handle)
    reference = spec.get("volumeSnapshotRef") or {}
    if not reference.get("uid"):
        return ContentUnclear("spec.volumeSnapshotRef.uid is missing: the snapshot-controller sets it")
    return CreateSnapshot(
        name=SNAPSHOT_PREFIX + reference["uid"],
        volume_handle=str(source.get("volumeHandle", "")),
        snapshot=(str(reference.get("namespace", "")), str(reference.get("name", ""))),
        image=parse_image_handle(annotations.get(well_known.SNAPSHOT_SOURCE, "")),
        announced=snapshot_keys.BEING_CREATED in annotations,
    )


def created_status(handle: SnapshotHandle, size: int, nanoseconds: int) -> Json:
    """Returns the content's status once the snapshot exists, as a merge patch.

    Args:
        handle: of the snapshot.
        size: in bytes, which a claim that restores it has to request at least.
        nanoseconds: the time of the snapshot, since 1970.
    """
    return {
        "status": {
            "snapshotHandle": str(handle),
            "creationTime": nanoseconds,
            "restoreSize": size,
            "readyToUse": True,
            "error": None,
        }
    }


def failed_status(message: str, now: str) -> Json:
    return {"status": {"error": {"time": now, "message": message}, "readyToUse": False}}


def deleted_status() -> Json:
    return {"status": dict.fromkeys(("snapshotHandle", "creationTime", "restoreSize", "readyToUse"))}


def finalizer_removal(metadata: Json, finalizer: str) -> list[Json]:
    """Returns a JSON Patch that removes the finalizer, and fails if the list of finalizers has changed."""
    path = f"/metadata/finalizers/{metadata['finalizers'].index(finalizer)}"
    return [{"op": "test", "path": path, "value": finalizer}, {"op": "remove", "path": path}]


def source_volume(volumes: Iterable[Json], volume_handle: str, claim: Json | None) -> Json | str:
    """Returns the PersistentVolume that the snapshot is to be of, else why it is unclear.

    Args:
        volumes: Sutler's volumes that may have the handle.
        volume_handle: of the content.
        claim: the source of the VolumeSnapshot.
    """
    found = [one for one in volumes if (one["spec"].get("csi") or {}).get("volumeHandle") == volume_handle]
    if claim is None:
        return "the claim that the VolumeSnapshot names does not exist"
    key = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
    bound = [one for one in found if one["metadata"]["name"] == claim["spec"].get("volumeName")]
    if not bound:
        other = ", ".join(sorted(one["metadata"]["name"] for one in found)) or "no volume of Sutler's"
        return f"the volume of claim {key} is not one of Sutler's with volumeHandle {volume_handle}; {other} has it"
    volume = bound[0]
    if (volume["spec"].get("claimRef") or {}).get("uid") != claim["metadata"]["uid"]:
        return f"volume {volume['metadata']['name']} is bound to another claim than {key}"
    return volume
