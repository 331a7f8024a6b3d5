"""What still uses the image of a volume that is to be deleted."""

from typing import Any

import pytest

from provisioner.volumes.cache_entries import claim_entry, volume_entry
from provisioner.volumes.planning.image_users import keep_reason
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from sutler.volumes.locations import ids_of, location_of, owner_of
from tests.volumes.objects import UID, claim, volume

NAME = f"pvc-{UID}"
OTHER = "11111111-2222-3333-4444-555555555555"
IDS = {"sutler.dev/pool-id": "2", "sutler.dev/image-id": "a1"}
CLAIM = {"namespace": "shop", "name": "copy", "uid": OTHER}


def why(leaving: Any, *others: Any, claims: tuple[Any, ...] = ()) -> str:
    place = location_of(leaving)
    assert place is not None
    views = {one["metadata"]["name"]: volume_entry(one) for one in (leaving, *others)}
    asked = {f"shop/{one['metadata']['name']}": claim_entry(one) for one in claims}
    return keep_reason(leaving, VolumeRequest(place, owner_of(leaving), *ids_of(leaving)), asked, views)


def annotated(name: str, annotations: Any, **more: Any) -> Any:
    made = volume(annotations=annotations, **more)
    made["metadata"]["name"] = name
    return made


@pytest.mark.parametrize("phase", ["Bound", "Available", "Pending"])
@pytest.mark.parametrize(
    ("leaving", "other"),
    [
        (IDS, IDS),
        ({}, {}),
        (IDS, {}),
        (IDS, IDS | {"sutler.dev/image": "rbd/renamed"}),
    ],
    ids=["by ids", "by names", "copied before the ids were known", "renamed"],
)
def test_image_that_another_volume_has_too_stays(phase: str, leaving: Any, other: Any) -> None:
    copy = annotated("copy", other, phase=phase, claimRef=CLAIM)
    assert "PersistentVolume copy has it, too" in why(volume(annotations=leaving), copy)


def test_volume_of_policy_retain_needs_its_image_after_its_claim() -> None:
    copy = annotated("copy", IDS, persistentVolumeReclaimPolicy="Retain")
    assert "PersistentVolume copy has it, too" in why(volume(annotations=IDS), copy)


@pytest.mark.parametrize(
    "other",
    [
        annotated("copy", IDS),
        annotated("other", IDS | {"sutler.dev/image-id": "b2"}, phase="Bound"),
        annotated("other", IDS | {"sutler.dev/pool-id": "3"}, phase="Bound"),
        annotated("other", IDS | {"sutler.dev/cluster-id": "b"}, phase="Bound"),
        annotated("other", {"sutler.dev/image": "rbd/tenant/x"}, phase="Bound"),
        annotated("other", IDS | {"pv.kubernetes.io/provisioned-by": "rbd.csi.ceph.com"}, phase="Bound"),
    ],
    ids=["leaves, too", "another image", "another pool", "another Ceph", "another namespace", "not ours"],
)
def test_other_volumes_hold_nothing_up(other: Any) -> None:
    assert why(volume(annotations=IDS), other) == ""


def test_claim_that_came_back_keeps_the_volume_that_it_names() -> None:
    back = claim(metadata={"uid": OTHER}, volumeName=NAME, status={"phase": "Lost"})
    assert f"spec.claimRef.uid to {OTHER}" in why(volume(), claims=(back,))
    # What StatefulSets make after a deletion asks for a volume of its own; and a watch may be late.
    assert why(volume(), claims=(claim(metadata={"uid": OTHER}),)) == ""
    assert why(volume(), claims=(claim(metadata={"uid": OTHER}, volumeName=f"pvc-{OTHER}"),)) == ""
    assert why(volume(), claims=(claim(volumeName=NAME),)) == ""
