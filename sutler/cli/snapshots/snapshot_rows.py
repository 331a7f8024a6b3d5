"""Rows of snapshots, from VolumeSnapshots and their contents. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sutler import well_known
from sutler.quantity import QuantityError, parse
from sutler.typedefs import Json
from sutler.volumes.snapshot_handle import parse_snapshot_handle


@dataclass(frozen=True)
class SnapshotRow:
    """A VolumeSnapshot with its content; empty or None if there is none."""

    snapshot: str
    """namespace/name"""
    claim: str
    """namespace/name of the claim that it was created from; empty for a snapshot that existed before"""
    content: str
    storage_class: str
    """The VolumeSnapshotClass."""
    policy: str
    """What happens to the snapshot in Ceph when the content is deleted: Delete or Retain."""
    handle: str
    size: int | None
    """Bytes that a claim that restores it has to request at least."""
    created: str
    state: str
    """Ready, Pending, Failed, Deleting, or Kept: a content whose VolumeSnapshot is deleted."""
    message: str = ""
    """Why the state is not Ready."""

    def as_json(self) -> Json:
        return {
            "snapshot": self.snapshot or None,
            "claim": self.claim or None,
            "content": self.content or None,
            "class": self.storage_class or None,
            "deletionPolicy": self.policy or None,
            "handle": self.handle or None,
            "size": self.size,
            "created": self.created or None,
            "state": self.state,
            "message": self.message or None,
        }


def snapshot_rows(snapshots: Iterable[Json], contents: Iterable[Json]) -> list[SnapshotRow]:
    """The snapshots that Sutler serves, and those that no content serves yet, ordered by name."""
    by_name = {content["metadata"]["name"]: content for content in contents}
    served = {name: content for name, content in by_name.items() if _is_sutlers(content)}
    found, named = [], set()
    for snapshot in snapshots:
        bound = (snapshot.get("status") or {}).get("boundVolumeSnapshotContentName", "")
        if bound in served or bound not in by_name:
            found.append(_row(snapshot, served.get(bound)))
            named.add(bound)
    found += [_row(None, content) for name, content in served.items() if name not in named]
    return sorted(found, key=lambda row: (not row.snapshot, row.snapshot, row.content))


def _is_sutlers(content: Json) -> bool:
    handle = (content.get("status") or {}).get("snapshotHandle") or content["spec"]["source"].get("snapshotHandle")
    return (
        content["spec"].get("driver") == well_known.PROVISIONER
        or parse_snapshot_handle(handle or "") is not None
        or well_known.SNAPSHOT_SOURCE in (content["metadata"].get("annotations") or {})
    )


def _row(snapshot: Json | None, content: Json | None) -> SnapshotRow:
    metadata, spec, status = _parts(snapshot)
    content_metadata, content_spec, content_status = _parts(content)
    claim = (spec.get("source") or {}).get("persistentVolumeClaimName")
    state, message = _state(snapshot, content)
    return SnapshotRow(
        snapshot=f"{metadata['namespace']}/{metadata['name']}" if snapshot is not None else "",
        claim=f"{metadata['namespace']}/{claim}" if claim else "",
        content=content_metadata.get("name", ""),
        storage_class=spec.get("volumeSnapshotClassName") or content_spec.get("volumeSnapshotClassName") or "",
        policy=content_spec.get("deletionPolicy", ""),
        handle=content_status.get("snapshotHandle") or (content_spec.get("source") or {}).get("snapshotHandle") or "",
        size=content_status.get("restoreSize") or _bytes(status.get("restoreSize")),
        created=_time(content_status.get("creationTime")) or status.get("creationTime") or "",
        state=state,
        message=message,
    )


def _parts(obj: Json | None) -> tuple[Json, Json, Json]:
    return (obj["metadata"], obj["spec"], obj.get("status") or {}) if obj is not None else ({}, {}, {})


def _state(snapshot: Json | None, content: Json | None) -> tuple[str, str]:
    (metadata, _, status), (content_metadata, _, content_status) = _parts(snapshot), _parts(content)
    errors: list[Mapping[str, str]] = [one.get("error") or {} for one in (content_status, status)]
    error = next((one["message"] for one in errors if one.get("message")), "")
    if "deletionTimestamp" in metadata or "deletionTimestamp" in content_metadata:
        return "Deleting", "see the events of the content and of the snapshot for what it waits for"
    if snapshot is None:
        return "Kept", "its VolumeSnapshot is deleted, and the content keeps the snapshot in Ceph"
    if status.get("readyToUse"):
        return "Ready", ""
    if error:
        return "Failed", error
    return "Pending", "the snapshot is being created" if content is not None else "no snapshot-controller serves it yet"


def _time(nanoseconds: int | None) -> str:
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if nanoseconds else ""


def _bytes(text: str | None) -> int | None:
    try:
        return parse(str(text)).round_up() if text else None
    except QuantityError:
        return None
