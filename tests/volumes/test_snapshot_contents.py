"""What is done about a VolumeSnapshotContent, by its table; handles; marks of parked images."""

from typing import Any

import pytest

from provisioner.volumes.planning.snapshot_contents import (
    CompleteContent,
    ContentUnclear,
    CreateSnapshot,
    DeleteSnapshot,
    KeepContent,
    ReadSnapshot,
    ReleaseContent,
    created_status,
    decide,
    source_volume,
)
from sutler.volumes.parking import ParkedImage, parked_metadata, parse_parked
from sutler.volumes.snapshot_handle import ImageHandle, parse_image_handle, parse_snapshot_handle
from tests.volumes.objects import UID, claim, volume

DRIVERS = {"rbd.sutler.dev"}
S = "snapshot.storage.kubernetes.io/"
FINALIZER = S + "volumesnapshotcontent-bound-protection"
CREATING, DELETING = {S + "volumesnapshot-being-created": "yes"}, {S + "volumesnapshot-being-deleted": "yes"}
GROUP = {"groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle": "x"}
IMAGE = ImageHandle("b", 2, "", "5a1b")
HANDLE = IMAGE.snapshot(4)
BY_CLAIM: dict[str, Any] = {"volumeHandle": "shop-data"}
BY_HAND: dict[str, Any] = {"snapshotHandle": str(HANDLE)}
READY = {"snapshotHandle": str(HANDLE), "readyToUse": True}


def content(
    *,
    source: Any = BY_CLAIM,
    status: Any = None,
    annotations: Any = None,
    leaving: bool = False,
    finalizers: Any = (FINALIZER,),
    uid: str = UID,
    **spec: Any,
) -> Any:
    metadata: dict[str, Any] = {"name": "snapcontent", "annotations": annotations, "finalizers": list(finalizers)}
    if leaving:
        metadata["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    reference = {"namespace": "shop", "name": "monday"} | ({"uid": uid} if uid else {})
    common = {"driver": "rbd.sutler.dev", "deletionPolicy": "Delete", "source": source, "volumeSnapshotRef": reference}
    return {"metadata": metadata, "spec": common | spec} | ({} if status is None else {"status": status})


@pytest.mark.parametrize(
    ("case", "obj", "decided"),
    [
        ("new", content(), CreateSnapshot),
        ("failed before", content(status={"error": {"message": "x"}, "readyToUse": False}), CreateSnapshot),
        ("interrupted", content(annotations=CREATING), CreateSnapshot),
        ("interrupted after its status", content(status=READY, annotations=CREATING), CompleteContent),
        ("ready", content(status=READY), KeepContent),
        ("not ready yet", content(status={"snapshotHandle": str(HANDLE), "readyToUse": False}), ReadSnapshot),
        ("by hand", content(source=BY_HAND), ReadSnapshot),
        ("by hand, ready", content(source=BY_HAND, status=READY), KeepContent),
        ("by hand, not Sutler's", content(source={"snapshotHandle": "0001-x"}), ContentUnclear),
        ("its snapshot's UID is missing", content(uid=""), ContentUnclear),
        ("another driver's", content(driver="rbd.csi.ceph.com"), KeepContent),
        ("of a group", content(annotations=GROUP), KeepContent),
        ("leaves, not released", content(status=READY, leaving=True), KeepContent),
        ("leaves", content(status=READY, leaving=True, annotations=DELETING), DeleteSnapshot),
        ("leaves, outcome unknown", content(leaving=True, annotations=DELETING | CREATING), CreateSnapshot),
        ("leaves, outcome known", content(status=READY, leaving=True, annotations=DELETING | CREATING),
         CompleteContent),
        ("leaves, never created", content(leaving=True, annotations=DELETING), ReleaseContent),
        ("leaves, kept", content(status=READY, leaving=True, annotations=DELETING, deletionPolicy="Retain"),
         ReleaseContent),
        ("leaves, no finalizer", content(status=READY, leaving=True, annotations=DELETING, finalizers=()),
         KeepContent),
        ("leaves, by hand and never bound", content(source=BY_HAND, status=READY, leaving=True, uid=""),
         DeleteSnapshot),
        ("leaves, by hand and never found", content(source=BY_HAND, leaving=True, uid=""), ReleaseContent),
        ("leaves, by hand and bound", content(source=BY_HAND, status=READY, leaving=True), KeepContent),
        ("leaves, with a handle that is not Sutler's", content(
            status={"snapshotHandle": "0001-x", "readyToUse": True}, leaving=True, annotations=DELETING),
         ContentUnclear),
        ("leaves, of a group", content(status=READY, leaving=True, annotations=DELETING | GROUP), KeepContent),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_content_is_served_by_the_table(case: str, obj: Any, decided: type) -> None:
    assert isinstance(decide(obj, DRIVERS), decided), case


def test_interrupted_creation_is_repeated_on_the_same_image() -> None:
    marks = CREATING | {"sutler.dev/snapshot-source": str(IMAGE)}
    decided = decide(content(annotations=marks), DRIVERS)
    assert decided == CreateSnapshot(f"sutler-{UID}", "shop-data", ("shop", "monday"), IMAGE, announced=True)
    assert decide(content(), DRIVERS) == CreateSnapshot(
        f"sutler-{UID}", "shop-data", ("shop", "monday"), None, announced=False
    )


def test_status_is_what_the_snapshot_controller_copies() -> None:
    assert created_status(HANDLE, 1 << 20, 5)["status"] == {
        "snapshotHandle": "sutler-1/b/2//5a1b/4",
        "creationTime": 5,
        "restoreSize": 1 << 20,
        "readyToUse": True,
        "error": None,
    }


VOLUME = volume(phase="Bound", csi={"driver": "rbd.csi.ceph.com", "volumeHandle": "shop-data"})
BOUND = claim(volumeName=VOLUME["metadata"]["name"])


@pytest.mark.parametrize(
    ("case", "volumes", "handle", "source", "says"),
    [
        ("the claim's volume", [VOLUME], "shop-data", BOUND, ""),
        ("no claim", [VOLUME], "shop-data", None, "does not exist"),
        ("another handle", [VOLUME], "other", BOUND, "is not one of Sutler's"),
        ("another volume of that handle", [VOLUME], "shop-data", claim(volumeName="pv"), VOLUME["metadata"]["name"]),
        ("no volume of Sutler's", [], "shop-data", BOUND, "no volume of Sutler's has it"),
        ("the claim was created again", [VOLUME], "shop-data", claim(
            volumeName=VOLUME["metadata"]["name"], metadata={"uid": "new"}), "another claim"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_volume_is_proven_by_handle_and_claim(case: str, volumes: Any, handle: str, source: Any, says: str) -> None:
    found = source_volume(volumes, handle, source)
    assert (found == VOLUME) if not says else says in str(found), case


@pytest.mark.parametrize("cluster", ["", "b", "rook-ceph", "a/b c%", "ü"])
@pytest.mark.parametrize("namespace", ["", "tenant", "a-b_c"])
def test_handle_is_read_as_it_was_written(cluster: str, namespace: str) -> None:
    image = ImageHandle(cluster, 17, namespace, "5a1bd2c3e4f506")
    assert parse_image_handle(str(image)) == image
    assert parse_snapshot_handle(str(image.snapshot(123))) == image.snapshot(123)
    assert parse_image_handle(str(image.snapshot(123))) is None
    assert parse_snapshot_handle(str(image)) is None


@pytest.mark.parametrize(
    "text",
    ["", "sutler-1", "sutler-1//2//5a1b/", "sutler-1//02//5a1b/4", "sutler-1//2//5a1b/04", "sutler-2//2//5a1b/4",
     "sutler-1//2//5a/1b/4", "sutler-1/%62/2//5a1b/4", "sutler-1//-1//5a1b/4", " sutler-1//2//5a1b/4",
     "sutler-1//2//5a1b/4\n", "sutler-1//²//5a1b/4", "data@snap"],
)  # fmt: skip
def test_only_exact_handles_are_read(text: str) -> None:
    assert parse_snapshot_handle(text) is None


OWNED = {"sutler.dev/uid": UID, "sutler.dev/pool-id": "2", "sutler.dev/image-id": "5a1b"}


@pytest.mark.parametrize("delay", [None, 0, 3600])
def test_mark_of_a_parked_image_names_the_image_and_its_owner(delay: int | None) -> None:
    parked = OWNED | parked_metadata("5a1b", UID, delay)
    assert parse_parked(parked, 2, "5a1b") == ParkedImage(UID, delay)
    assert parse_parked(OWNED, 2, "5a1b") is None
    # A copy, one in another pool, an adopted one, one that is being adopted, and marks of unknown forms.
    assert parse_parked(parked, 2, "copy") is None
    assert parse_parked(parked, 3, "5a1b") is None
    assert parse_parked(parked | {"sutler.dev/uid": "other"}, 2, "5a1b") is None
    assert parse_parked(parked | {"sutler.dev/adopting": "request"}, 2, "5a1b") is None
    assert parse_parked({key: parked[key] for key in ("sutler.dev/uid", "sutler.dev/parked")}, 2, "5a1b") is None
    for mark in ("5a1b", f"5a1b {UID}", f"5a1b {UID} never", f"5a1b {UID} remove later", f"5a1b {UID} -1"):
        assert parse_parked(parked | {"sutler.dev/parked": mark}, 2, "5a1b") is None
