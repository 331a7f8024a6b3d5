"""What may be adopted: the decisions, one by one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from provisioner.ceph.model import RbdImage
from provisioner.volumes.planning import adoption
from provisioner.volumes.planning.adoption import AdoptionObstacle
from sutler.volumes.adoption_request import (
    UNBOUND_UID,
    AdoptionRequest,
    RequestError,
    claim_key,
    parse_request,
    render,
    request_name,
)
from sutler.volumes.locations import ImageLocation, parse_location
from tests.volumes.objects import UID, claim, parsed, volume

PLACE = ImageLocation("", "rbd", "", "disk")
WANTED = AdoptionRequest(namespace="shop", claim="data", storage_class="fast", image="rbd/disk")
HANDLE = f"0001-0001-b-0000000000000002-{UID}"


def image(size: int = 1 << 30, **more: Any) -> RbdImage:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return RbdImage("disk", "abc", size, ("layering",), 1 << 22, created, **({"metadata": {}} | more))


def test_request_is_read_as_it_was_written() -> None:
    for wanted in (
        WANTED,
        AdoptionRequest(namespace="a", claim="b", storage_class="c", restore_from="p/n", restore_id="1"),
    ):
        assert parse_request(render(wanted)) == wanted


def test_request_can_not_be_bound_or_mounted() -> None:
    spec = render(WANTED)["spec"]
    assert (spec["claimRef"]["uid"], spec["persistentVolumeReclaimPolicy"]) == (UNBOUND_UID, "Retain")
    assert spec["csi"]["driver"] == "adopt.sutler.dev"


def test_names_of_requests_differ_and_fit() -> None:
    keys = ["a/b-c", "a-b/c", f"{'n' * 63}/{'c' * 253}", "shop/data.db_1"]
    names = {request_name(key) for key in keys}
    assert len(names) == len(keys)
    assert all(len(name) <= 63 for name in names)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"metadata": {"annotations": {"sutler.dev/adopt": "disk"}}}, "is not pool/image"),
        ({"metadata": {"annotations": {"sutler.dev/adopt": "rbd/a@b"}}}, "is not pool/image"),
        ({"metadata": {"annotations": {"sutler.dev/restore-from": "a/b/c"}}}, "is not pool or pool/namespace"),
        ({"metadata": {"annotations": {"sutler.dev/adopt": "rbd/a", "sutler.dev/fstype": "ntfs"}}}, "is not one of"),
        ({"metadata": {"annotations": {}}}, "is not an adoption request"),
    ],
)
def test_malformed_request_is_refused_with_the_problem(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        parse_request(render(WANTED) | change)


@pytest.mark.parametrize("change", [{"claimRef": {"namespace": "shop", "name": "data"}}, {"csi": {"driver": "rbd"}}])
def test_volume_that_could_be_used_is_no_request(change: dict[str, Any]) -> None:
    request = render(WANTED)
    request["spec"] |= change
    assert claim_key(request) == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("rbd/disk", ("rbd", "", "disk")),
        ("rbd/tenant/disk", ("rbd", "tenant", "disk")),
        ("disk", None),
        ("", None),
        ("rbd//disk", None),
        ("rbd/disk@snap", None),
        ("a/b/c/d", None),
        ("rbd/a b", None),
    ],
)
def test_location_is_pool_namespace_image(text: str, parts: tuple[str, str, str] | None) -> None:
    assert parse_location("c", text) == (ImageLocation("c", *parts) if parts else None)


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"sutler.dev/kubernetes": "other", "sutler.dev/uid": "u"}, "belongs to Kubernetes cluster other"),
        ({"sutler.dev/uid": "u"}, "belongs to another Kubernetes cluster"),
        ({"sutler.dev/unfinished": "rollback 1234"}, "rollback was interrupted"),
    ],
)
def test_image_of_another_cluster_or_incomplete_image_is_refused(metadata: dict[str, str], says: str) -> None:
    with pytest.raises(AdoptionObstacle, match=says) as refused:
        adoption.require_unused(image(metadata=metadata), "rbd/disk", "ours", metadata.get("sutler.dev/uid"))
    assert not refused.value.temporary


def test_image_in_use_or_taken_meanwhile_is_waited_for() -> None:
    with pytest.raises(AdoptionObstacle, match=r"in use at 10\.0\.0\.7") as refused:
        adoption.require_unused(image(watchers=("10.0.0.7:0/1",)), "rbd/disk", "ours", None)
    assert refused.value.temporary
    taken = {"sutler.dev/uid": "u", "sutler.dev/kubernetes": "ours"}
    with pytest.raises(AdoptionObstacle, match="another owner meanwhile") as refused:
        adoption.require_unused(image(metadata=taken), "rbd/disk", "ours", None)
    assert refused.value.temporary


@pytest.mark.parametrize(("namespace", "cls"), [("tenant", ""), ("", "tenant"), ("tenant", "other")])
def test_image_in_another_rados_namespace_than_the_class_is_refused(namespace: str, cls: str) -> None:
    """The nodes would map another image of its name in the class's namespace."""
    with pytest.raises(AdoptionObstacle, match="radosNamespace is the image's"):
        adoption.require_namespace(
            ImageLocation("", "rbd", namespace, "disk"), parsed({"radosNamespace": cls} if cls else {})
        )


def csi(handle: str, **attributes: str) -> dict[str, Any]:
    return {"csi": {"driver": "rbd.csi.ceph.com", "volumeHandle": handle, "volumeAttributes": attributes}}


FOREIGN = {"pv.kubernetes.io/provisioned-by": "another.example.com", "sutler.dev/image": ""}


@pytest.mark.parametrize(
    ("source", "same_image", "same_handle"),
    [
        ({"rbd": {"pool": "rbd", "image": "disk"}}, True, False),
        ({"rbd": {"image": "disk"}}, True, False),
        ({"rbd": {"pool": "kube", "image": "disk"}}, False, False),
        (csi("disk", pool="rbd", staticVolume="true"), True, True),
        (csi("disk", pool="kube", staticVolume="true"), False, True),
        (csi(HANDLE, journalPool="rbd", imageName="disk", pool="rbd"), True, False),
        (csi(HANDLE, journalPool="meta", imageName="disk", pool="rbd"), True, False),
        (csi(HANDLE, journalPool="rbd", imageName="other"), False, False),
        ({"csi": {"driver": "cephfs.csi.ceph.com", "volumeHandle": "disk"}}, False, False),
        ({"nfs": {"server": "a", "path": "/disk"}}, False, False),
    ],
)
def test_volumes_of_every_kind_are_known_by_their_image(
    source: dict[str, Any],
    same_image: bool,
    same_handle: bool,
) -> None:
    found = adoption.other_volume(volume(annotations=FOREIGN, **source), PLACE, csi=True)
    assert (found is not None) == (same_image or same_handle)
    if found is not None:
        assert (found.same_image, found.same_handle) == (same_image, same_handle)


def test_old_volume_of_ceph_csi_is_known_by_its_handle() -> None:
    place = ImageLocation("", "rbd", "", f"csi-vol-{UID}")
    found = adoption.other_volume(volume(annotations=FOREIGN, **csi(HANDLE)), place, csi=True)
    assert found is not None
    assert found.same_image


def test_volume_of_another_cluster_is_in_the_way_only_by_its_handle() -> None:
    ours = volume(annotations={"sutler.dev/image": "rbd/disk", "sutler.dev/cluster-id": "b"}, **csi("disk"))
    found = adoption.other_volume(ours, PLACE, csi=True)
    assert found is not None
    assert (found.cluster, found.claim) == ("b", "shop/data")
    with pytest.raises(AdoptionObstacle, match="an image of the same name in another pool"):
        adoption.require_no_conflict(found, PLACE.path, "shop/data", other_cluster=True)
    in_tree = adoption.other_volume(ours, PLACE, csi=False)
    assert in_tree is not None
    adoption.require_no_conflict(in_tree, PLACE.path, "shop/data", other_cluster=True)


@pytest.mark.parametrize(("key", "temporary"), [("shop/data", True), ("shop/other", False)])
def test_claims_own_old_volume_is_waited_for(key: str, temporary: bool) -> None:
    source: dict[str, Any] = {"rbd": {"pool": "rbd", "image": "disk"}, "persistentVolumeReclaimPolicy": "Retain"}
    found = adoption.other_volume(volume(phase="Bound", annotations=FOREIGN, **source), PLACE, csi=True)
    assert found is not None
    with pytest.raises(AdoptionObstacle, match="set its persistentVolumeReclaimPolicy to Retain") as refused:
        adoption.require_no_conflict(found, PLACE.path, key, other_cluster=False)
    assert refused.value.temporary is temporary


@pytest.mark.parametrize(
    ("asking", "says", "temporary"),
    [
        (claim(size="2Gi"), "requests 2147483648 bytes, and rbd/disk has 1073741824", False),
        (claim(volumeName="pvc-x"), "has volume pvc-x", True),
        (claim(storageClassName="slow"), "it has another StorageClass", True),
        (claim(metadata={"deletionTimestamp": "now"}), "it is being deleted", True),
        (claim(accessModes=["ReadWriteMany"]), "would destroy the filesystem", False),
        (claim(dataSource={"kind": "VolumeSnapshot", "name": "s"}), "dataSource", False),
    ],
)
def test_claim_that_can_not_get_the_image_is_refused_with_the_reason(
    asking: dict[str, Any], says: str, temporary: bool
) -> None:
    cls = adoption.class_for_adoption(parsed(), WANTED)
    with pytest.raises(AdoptionObstacle, match=says) as refused:
        adoption.claim_request(asking, cls, image().size, "rbd/disk")
    assert refused.value.temporary is temporary


def test_volume_has_the_images_size_and_the_class_is_fitted_to_it() -> None:
    cls = adoption.class_for_adoption(
        parsed({"journal": "ceph-csi", "clusterID": "b"}, volumeBindingMode="WaitForFirstConsumer"),
        AdoptionRequest(namespace="shop", claim="data", storage_class="fast", image="rbd/disk", filesystem="xfs"),
    )
    assert (cls.journal, cls.waits_for_consumer, cls.filesystem) == (False, False, "xfs")
    for size in ("5Mi", "10000001"):
        assert adoption.claim_request(claim(size=size), cls, 10000001, "rbd/disk").size == 10000001
    with pytest.raises(AdoptionObstacle, match="requests 10000002 bytes, and rbd/disk has 10000001"):
        adoption.claim_request(claim(size="10000002"), cls, 10000001, "rbd/disk")
