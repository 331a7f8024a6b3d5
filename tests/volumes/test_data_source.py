"""Which data sources can be cloned for a claim, and which are a populator's."""

from typing import Any

import pytest

from provisioner.volumes.cache_entries import claim_entry
from provisioner.volumes.planning import claims
from provisioner.volumes.planning.data_source import (
    DataSource,
    SnapshotSource,
    SourceObstacle,
    parse_data_source,
    require_cloneable,
    snapshot_source,
)
from sutler.volumes.snapshot_handle import ImageHandle
from tests.volumes.objects import UID, claim, parsed, volume

GIB = 1 << 30
HANDLE = ImageHandle("", 2, "", "5a1b").snapshot(4)
OTHER = "11111111-2222-3333-4444-555555555555"
SNAPSHOT = {"kind": "VolumeSnapshot", "name": "monday", "apiGroup": "snapshot.storage.k8s.io"}
CLAIM = {"kind": "PersistentVolumeClaim", "name": "source"}
BACKUP = {"kind": "Backup", "name": "b", "apiGroup": "example.com"}
LEAVING = {"deletionTimestamp": "2030-01-01T00:00:00Z"}
DRIVERS = {"rbd.sutler.dev"}


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        ({}, None),
        ({"dataSource": None, "dataSourceRef": None}, None),
        ({"dataSource": SNAPSHOT}, DataSource("VolumeSnapshot", "shop", "monday")),
        ({"dataSource": SNAPSHOT, "dataSourceRef": SNAPSHOT | {"namespace": "else"}},
         DataSource("VolumeSnapshot", "else", "monday")),
        ({"dataSourceRef": CLAIM}, DataSource("PersistentVolumeClaim", "shop", "source")),
        ({"dataSource": CLAIM | {"apiGroup": ""}}, DataSource("PersistentVolumeClaim", "shop", "source")),
        ({"dataSourceRef": BACKUP}, DataSource("Backup", "shop", "b")),
        ({"dataSourceRef": SNAPSHOT | {"apiGroup": "example.com"}},
         DataSource("VolumeSnapshot.example.com", "shop", "monday")),
    ],
)  # fmt: skip
def test_source_is_read_from_both_fields(spec: Any, source: DataSource | None) -> None:
    assert parse_data_source(claim(**spec)) == source


def test_populated_claim_gets_no_volume() -> None:
    for source in (BACKUP, SNAPSHOT | {"apiGroup": "example.com"}):
        decided = claims.decide(claim(dataSourceRef=source), parsed())
        assert isinstance(decided, claims.AwaitPopulator)
        assert "assuming an external populator" in decided.message


@pytest.mark.parametrize("source", [SNAPSHOT, CLAIM])
def test_claim_with_a_source_is_served_with_it(source: Any) -> None:
    decided = claims.decide(claim(size="1Ki", dataSource=source), parsed())
    assert isinstance(decided, claims.ProvisionClaim)
    assert str(decided.request.source) == f"{source['kind']} {source['name']}"
    assert claims.size_warning(decided.request, "xfs") == ""


@pytest.mark.parametrize(
    ("case", "spec", "parameters", "says"),
    [
        ("another namespace", {"dataSourceRef": SNAPSHOT | {"namespace": "else"}}, {}, "in the claim's namespace"),
        ("btrfs", {"dataSource": SNAPSHOT}, {"csi.storage.k8s.io/fstype": "btrfs"}, "can't tell a clone with btrfs"),
        ("no layering", {"dataSource": SNAPSHOT}, {"imageFeatures": "exclusive-lock"}, "needs layering"),
        ("a journal", {"dataSource": CLAIM}, {"journal": "ceph-csi", "clusterID": "b"}, "are ceph-csi's"),
        ("read-only", {"dataSource": CLAIM, "accessModes": ["ReadOnlyMany"]}, {}, "replay the filesystem's journal"),
    ],
)
def test_class_or_claim_that_can_clone_nothing_is_refused(case: str, spec: Any, parameters: Any, says: str) -> None:
    decided = claims.decide(claim(**spec), parsed(parameters))
    assert isinstance(decided, claims.RefuseClaim), case
    assert says in decided.message
    if case == "btrfs":
        served = claims.decide(claim(**spec, volumeMode="Block"), parsed(parameters))
        assert isinstance(served, claims.ProvisionClaim)


def snapshot(*, metadata: Any = None, **status: Any) -> Any:
    ready = {"readyToUse": True, "boundVolumeSnapshotContentName": "content", "restoreSize": "1Gi"}
    return {
        "metadata": {"name": "monday", "namespace": "shop", "uid": UID} | (metadata or {}),
        "status": ready | status,
    }


def content(*, metadata: Any = None, status: Any = None, **spec: Any) -> Any:
    reference = {"name": "monday", "namespace": "shop", "uid": UID}
    ready = {"readyToUse": True, "snapshotHandle": str(HANDLE), "restoreSize": GIB}
    return {
        "metadata": {"name": "content"} | (metadata or {}),
        "spec": {"driver": "rbd.sutler.dev", "volumeSnapshotRef": reference, "sourceVolumeMode": "Filesystem"} | spec,
        "status": ready | (status or {}),
    }


def found(snap: Any, bound: Any, *, mode: str = "Filesystem", size: int = GIB) -> SnapshotSource:
    source = DataSource("VolumeSnapshot", "shop", "monday")
    return snapshot_source(source, snap, bound, DRIVERS, volume_mode=mode, size=size)


def test_ready_snapshot_is_restored_in_its_size_or_larger() -> None:
    assert found(snapshot(), content()) == SnapshotSource(HANDLE, "")
    assert found(snapshot(), content(metadata={"annotations": {"sutler.dev/fstype": "xfs"}}), size=2 * GIB) == (
        SnapshotSource(HANDLE, "xfs")
    )
    allowed = {"annotations": {"snapshot.storage.kubernetes.io/allow-volume-mode-change": "true"}}
    assert found(snapshot(), content(metadata=allowed), mode="Block").handle == HANDLE
    assert found(snapshot(), content(sourceVolumeMode=None), mode="Block").handle == HANDLE


@pytest.mark.parametrize(
    ("case", "snap", "bound", "more", "says", "temporary"),
    [
        ("leaves", snapshot(metadata=LEAVING), content(), {}, "is being deleted", False),
        ("not ready", snapshot(readyToUse=False), content(), {}, "not ready", True),
        ("failed", snapshot(readyToUse=False, error={"message": "no pool"}), content(), {}, "no pool", True),
        ("not bound", snapshot(boundVolumeSnapshotContentName=None), content(), {}, "not ready", True),
        ("another's content", snapshot(metadata={"uid": OTHER}), content(), {}, "belongs to another", False),
        ("another name", snapshot(metadata={"name": "x"}), content(), {}, "belongs to another", False),
        ("another driver", snapshot(), content(driver="rbd.csi.ceph.com"), {}, "of driver rbd.csi.ceph.com", False),
        ("content leaves", snapshot(), content(metadata=LEAVING), {}, "is being deleted", False),
        ("content not ready", snapshot(), content(status={"readyToUse": False}), {}, "not ready", True),
        ("no handle", snapshot(), content(status={"snapshotHandle": None}), {}, "not ready", True),
        ("ceph-csi's handle", snapshot(), content(status={"snapshotHandle": "0001-x"}), {}, "not a snapshot", False),
        ("too small", snapshot(), content(), {"size": GIB - 1}, f"request {GIB} or more", False),
        ("another mode", snapshot(), content(), {"mode": "Block"}, "allow-volume-mode-change", False),
        ("mode not allowed", snapshot(), content(metadata={"annotations": {
            "snapshot.storage.kubernetes.io/allow-volume-mode-change": "yes"}}), {"mode": "Block"}, "allows that",
         False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_snapshot_that_does_not_fit_is_not_restored(
    case: str, snap: Any, bound: Any, more: Any, says: str, temporary: bool
) -> None:
    with pytest.raises(SourceObstacle, match=says) as raised:
        found(snap, bound, **more)
    assert raised.value.temporary is temporary, case


BOUND = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
SOURCE = claim(status=BOUND, volumeName=f"pvc-{UID}")
VOLUME = volume(phase="Bound", csi={"volumeHandle": "x", "fsType": "xfs"})


@pytest.mark.parametrize(
    ("case", "obj", "vol", "more", "says"),
    [
        ("bound", SOURCE, VOLUME, {}, ""),
        ("larger", SOURCE, VOLUME, {"size": 2 * GIB}, ""),
        ("leaves", claim(status=BOUND, metadata=LEAVING), VOLUME, {}, "is being deleted"),
        ("pending", claim(), None, {}, "not bound"),
        ("its volume is lost", claim(status=BOUND), None, {}, "not bound"),
        ("another's volume", claim(status=BOUND, metadata={"uid": OTHER}), VOLUME, {}, "is not the claim's"),
        ("its volume leaves", SOURCE, volume(phase="Bound", metadata=LEAVING), {}, "or is deleted"),
        ("not Sutler's", SOURCE, volume(annotations={"pv.kubernetes.io/provisioned-by": "x"}), {}, "one of Sutler's"),
        ("another mode", SOURCE, VOLUME, {"mode": "Block"}, "request Filesystem"),
        ("too small", SOURCE, VOLUME, {"size": 1}, f"request {GIB} or more"),
        ("smaller than its grown volume", SOURCE, volume(phase="Bound", capacity={"storage": "2Gi"}), {},
         f"request {2 * GIB} or more"),
        ("no capacity", claim(status={"phase": "Bound"}), VOLUME, {}, "no capacity"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_claim_is_cloned_only_if_its_volume_is_proven(case: str, obj: Any, vol: Any, more: Any, says: str) -> None:
    source = DataSource("PersistentVolumeClaim", "shop", "data")
    wanted = {"volume_mode": more.get("mode", "Filesystem"), "size": more.get("size", GIB)}
    if not says:
        assert require_cloneable(source, obj, vol, **wanted) == "xfs", case
        return
    with pytest.raises(SourceObstacle, match=says):
        require_cloneable(source, obj, vol, **wanted)


def test_watch_keeps_the_source_until_the_claim_has_a_volume() -> None:
    assert claim_entry(claim(dataSource=SNAPSHOT)).source == "VolumeSnapshot/shop/monday"
    assert claim_entry(claim(dataSource=SNAPSHOT, volumeName="pv")).source == ""
    finalizers = {"finalizers": ["provisioner.storage.kubernetes.io/cloning-protection"]}
    assert claim_entry(claim(metadata=finalizers)).protected
    assert not claim_entry(claim()).protected
