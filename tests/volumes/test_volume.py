"""The PersistentVolume that is made, whether it is to go, and whether it is to grow."""

from typing import Any

import pytest

from provisioner.ceph.model import JournalEntry
from provisioner.volumes.planning import deletion, expansion
from provisioner.volumes.planning.claims import ClaimRequest, ProvisionClaim, decide
from provisioner.volumes.planning.flattening import flattens
from provisioner.volumes.planning.persistent_volume import CephSource, VolumeRequest, image_metadata, render
from sutler.volumes.locations import ImageLocation, location_of
from sutler.volumes.snapshot_handle import ImageHandle
from tests.volumes.objects import UID, claim, parsed, volume

FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
LEAVING = {"deletionTimestamp": "2030-01-01T00:00:00Z"}


def request(**more: Any) -> ClaimRequest:
    decision = decide(claim(**more), parsed())
    assert isinstance(decision, ProvisionClaim)
    return decision.request


def rendered(cls: Any, **more: Any) -> Any:
    place = ImageLocation(cls.cluster, cls.pool, cls.namespace, f"shop-data-{UID}")
    return render(request(**more), cls, place, CephSource("ceph-1", 2, "5a1bd2c3e4f506", monitors=("10.0.0.1:6789",)))


def test_volume_for_ceph_csi_is_a_static_one() -> None:
    cls = parsed(
        {
            "csi.storage.k8s.io/node-stage-secret-name": "rbd-${pvc.namespace}",
            "csi.storage.k8s.io/node-stage-secret-namespace": "ceph-csi",
            "mapOptions": "krbd:rxbounce",
        },
        mountOptions=["discard"],
    )
    assert rendered(cls, size="1.5Gi") == {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": f"pvc-{UID}",
            "annotations": {
                "pv.kubernetes.io/provisioned-by": "rbd.sutler.dev",
                "sutler.dev/cluster-id": "",
                "sutler.dev/image": f"rbd/shop-data-{UID}",
                "sutler.dev/deletion-policy": "remove",
                "sutler.dev/pool-id": "2",
                "sutler.dev/image-id": "5a1bd2c3e4f506",
            },
            "finalizers": [FINALIZER],
        },
        "spec": {
            "capacity": {"storage": "1536Mi"},
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem",
            "storageClassName": "fast",
            "persistentVolumeReclaimPolicy": "Delete",
            "mountOptions": ["discard"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": "shop",
                "name": "data",
                "uid": UID,
                "resourceVersion": "7",
            },
            "csi": {
                "driver": "rbd.csi.ceph.com",
                "fsType": "ext4",
                "volumeHandle": f"shop-data-{UID}",
                "volumeAttributes": {
                    "clusterID": "ceph-1",
                    "pool": "rbd",
                    "staticVolume": "true",
                    "imageFeatures": "layering",
                    "mapOptions": "krbd:rxbounce",
                },
                "nodeStageSecretRef": {"name": "rbd-shop", "namespace": "ceph-csi"},
            },
        },
    }


@pytest.mark.parametrize(
    ("name", "namespace", "secret"),
    [
        ("rbd-${pvc.namespace}", "ceph-csi", ("rbd-shop", "ceph-csi")),
        ("${pvc.name}-${pv.name}", "${pvc.namespace}", (f"data-pvc-{UID}", "shop")),
        ("${pvc.annotations['team.example.com/key']}", "default", ("blue", "default")),
        ("a-${pvc.annotations['x']}.b", "${pv.name}", ("a-y.b", f"pvc-{UID}")),
    ],
)
def test_names_of_secrets_are_made_of_the_claim(name: str, namespace: str, secret: tuple[str, str]) -> None:
    prefix = "csi.storage.k8s.io/node-stage-secret"
    cls = parsed({f"{prefix}-name": name, f"{prefix}-namespace": namespace})
    annotations = {"team.example.com/key": "blue", "x": "y"}
    body = rendered(cls, metadata={"annotations": annotations})
    expected = {"name": secret[0], "namespace": secret[1]}
    assert body["spec"]["csi"]["nodeStageSecretRef"] == expected


def test_volume_of_an_in_tree_class_has_what_that_provisioner_gave_it() -> None:
    cls = parsed(
        {
            "monitors": "mon-1.example.com:6789, 10.0.0.2:6789",
            "adminId": "kube-admin",
            "adminSecretName": "ceph-secret",
            "userSecretName": "ceph-user-secret",
            "fsType": "xfs",
        }
    )
    assert rendered(cls)["spec"]["rbd"] == {
        "monitors": ["mon-1.example.com:6789", "10.0.0.2:6789"],
        "image": f"shop-data-{UID}",
        "pool": "rbd",
        "user": "kube-admin",
        "fsType": "xfs",
        "secretRef": {"name": "ceph-user-secret", "namespace": "shop"},
    }


@pytest.mark.parametrize(
    ("provisioner", "parameters", "driver"),
    [
        ("rbd.sutler.dev", {}, "rbd.csi.ceph.com"),
        ("rook-ceph.rbd.csi.ceph.com", {}, "rook-ceph.rbd.csi.ceph.com"),
        ("openshift-storage.rbd.csi.ceph.com", {"csiDriver": "other.example.com"}, "other.example.com"),
        ("rbd.sutler.dev", {"csiDriver": "rook-ceph.rbd.csi.ceph.com"}, "rook-ceph.rbd.csi.ceph.com"),
        ("ceph.com/rbd", {}, "rbd.csi.ceph.com"),
    ],
)
def test_volume_names_the_node_plugin_of_its_cluster(provisioner: str, parameters: dict[str, str], driver: str) -> None:
    cls = parsed(parameters, {"sutler.dev/provision": "rbd"}, provisioner=provisioner)
    assert rendered(cls)["spec"]["csi"]["driver"] == driver


def test_volume_for_kubernetes_own_plugin_names_the_monitors() -> None:
    body = rendered(parsed({"volumeSource": "rbd", "userId": "kube"}))
    assert body["spec"]["rbd"] == {
        "monitors": ["10.0.0.1:6789"],
        "image": f"shop-data-{UID}",
        "pool": "rbd",
        "user": "kube",
        "fsType": "ext4",
    }
    assert "csi" not in body["spec"]


@pytest.mark.parametrize(
    ("size", "capacity"),
    [("1.5Gi", "1536Mi"), ("1Gi", "1Gi"), ("1G", "1G"), ("1e9", "1e9"), ("0.1Gi", "104858Ki"), ("200000", "200192")],
)
def test_capacity_is_the_images_size_exactly(size: str, capacity: str) -> None:
    assert rendered(parsed(), size=size)["spec"]["capacity"] == {"storage": capacity}


def test_volume_in_ceph_csis_journal_is_not_static() -> None:
    expand = {f"csi.storage.k8s.io/controller-expand-secret-{part}": part for part in ("name", "namespace")}
    body = rendered(parsed({"journal": "ceph-csi", "clusterID": "ceph-1"} | expand))
    assert body["metadata"]["annotations"]["sutler.dev/journal"] == "ceph-csi"
    assert body["spec"]["csi"] == {
        "driver": "rbd.csi.ceph.com",
        "fsType": "ext4",
        "volumeHandle": f"0001-0006-ceph-1-0000000000000002-{UID}",
        "volumeAttributes": {
            "clusterID": "ceph-1",
            "pool": "rbd",
            "journalPool": "rbd",
            "imageName": f"shop-data-{UID}",
            "imageFeatures": "layering",
        },
        "controllerExpandSecretRef": {"name": "name", "namespace": "namespace"},
    }
    released = body | {"status": {"phase": "Released"}}
    decision = deletion.decide(released, attached=False)
    assert isinstance(decision, deletion.DeleteImage)
    assert decision.entry == JournalEntry(UID, f"pvc-{UID}", "shop")


def test_handle_is_the_one_that_ceph_csi_computes() -> None:
    handle = JournalEntry(UID, "pvc-1", "shop").handle("b9127830-b0cc-4e34-aa47-9d1a2e9949a8", 26)
    assert handle == f"0001-0024-b9127830-b0cc-4e34-aa47-9d1a2e9949a8-000000000000001a-{UID}"


def test_block_volume_has_no_filesystem() -> None:
    body = rendered(parsed(), volumeMode="Block", accessModes=["ReadWriteMany"])
    assert body["spec"]["volumeMode"] == "Block"
    assert "fsType" not in body["spec"]["csi"]


def test_volume_remembers_what_its_deletion_needs() -> None:
    cls = parsed({"clusterID": "b", "radosNamespace": "tenant", "deletionPolicy": "trash", "trashDelay": "1h"})
    body = rendered(cls)
    assert location_of(body) == ImageLocation("b", "rbd", "tenant", f"shop-data-{UID}")
    assert body["metadata"]["annotations"]["sutler.dev/trash-delay"] == "3600"


@pytest.mark.parametrize(("policy", "is_clone", "requested"), [("async", True, True), ("async", False, False),
                                                               ("none", True, False)])  # fmt: skip
def test_volume_of_a_clone_requests_what_the_class_says(policy: str, is_clone: bool, requested: bool) -> None:
    ancestors = (ImageHandle("b", 3, "", "5a1b"),) if is_clone else ()
    cls, place = parsed({"flattenPolicy": policy}), ImageLocation("", "rbd", "", "image")
    body = render(request(), cls, place, CephSource("b", 3, "6c2d", (), ancestors))
    assert (body["metadata"]["annotations"].get("sutler.dev/flatten-policy") == "async") is requested
    assert flattens(body | {"status": {"phase": "Bound"}}) is requested


@pytest.mark.parametrize(
    ("policy", "phase", "deleted", "due"),
    [
        ("async", "Bound", False, True),
        ("async", "Pending", False, False),
        ("async", "Released", False, False),
        ("async", "Bound", True, False),
        ("none", "Bound", False, False),
        ("", "Bound", False, False),
    ],
)
def test_image_is_flattened_only_while_a_claim_has_its_volume(
    policy: str, phase: str, deleted: bool, due: bool
) -> None:
    obj = volume(phase=phase, annotations={"sutler.dev/flatten-policy": policy}, metadata=LEAVING if deleted else None)
    assert flattens(obj) is due


def test_metadata_leads_from_the_image_to_the_claim() -> None:
    assert image_metadata(request(), parsed(), "cluster-uid") == {
        "sutler.dev/uid": UID,
        "sutler.dev/kubernetes": "cluster-uid",
        "csi.storage.k8s.io/pvc/name": "data",
        "csi.storage.k8s.io/pvc/namespace": "shop",
        "csi.storage.k8s.io/pv/name": f"pvc-{UID}",
    }


@pytest.mark.parametrize(
    ("case", "obj", "attached", "kind"),
    [
        ("released", volume(), False, deletion.DeleteImage),
        ("released and deleted by hand", volume(metadata=LEAVING), False, deletion.DeleteImage),
        ("its annotation of the image is lost", volume(annotations={"sutler.dev/image": ""}),
         False, deletion.ImageUnclear),
        ("its claim's UID is lost", volume(claimRef={}), False, deletion.ImageUnclear),
        ("a policy in upper case", volume(annotations={"sutler.dev/deletion-policy": "Trash"}), False,
         deletion.ImageUnclear),
        ("no policy of ours", volume(annotations={"sutler.dev/deletion-policy": "retain"}),
         False, deletion.ImageUnclear),
        ("an empty policy", volume(annotations={"sutler.dev/deletion-policy": ""}), False, deletion.ImageUnclear),
        ("a delay that librbd does not take", volume(annotations={"sutler.dev/deletion-policy": "trash",
                                                                  "sutler.dev/trash-delay": "9" * 20}), False,
         deletion.ImageUnclear),
        ("a delay in words", volume(annotations={"sutler.dev/deletion-policy": "trash",
                                                 "sutler.dev/trash-delay": "1 week"}), False, deletion.ImageUnclear),
        ("still attached", volume(), True, deletion.VolumeAttached),
        ("not ours", volume(annotations={"pv.kubernetes.io/provisioned-by": "x"}), False, deletion.KeepVolume),
        ("made by hand", volume(metadata={"annotations": {}}), False, deletion.KeepVolume),
        ("no annotations", volume(metadata={"annotations": None}), False, deletion.KeepVolume),
        ("bound", volume(phase="Bound"), False, deletion.KeepVolume),
        ("available", volume(phase="Available"), False, deletion.KeepVolume),
        ("failed", volume(phase="Failed"), False, deletion.KeepVolume),
        ("bound and deleted by hand", volume(phase="Bound", metadata=LEAVING), False, deletion.KeepVolume),
        ("retained", volume(persistentVolumeReclaimPolicy="Retain"), False, deletion.KeepVolume),
        ("recycled", volume(persistentVolumeReclaimPolicy="Recycle"), False, deletion.KeepVolume),
        ("retained and deleted by hand", volume(persistentVolumeReclaimPolicy="Retain", metadata=LEAVING), False,
         deletion.ReleaseVolume),
        ("on its way", volume(metadata=LEAVING | {"finalizers": ["kubernetes.io/pv-protection"]}), False,
         deletion.KeepVolume),
        ("without our finalizer, not deleted", volume(metadata={"finalizers": []}), False, deletion.DeleteImage),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_volume_is_deleted_only_when_nothing_needs_it(case: str, obj: Any, attached: bool, kind: type) -> None:
    assert isinstance(deletion.decide(obj, attached=attached), kind), case


@pytest.mark.parametrize(
    ("annotations", "delay"),
    [
        ({}, None),
        ({"sutler.dev/deletion-policy": "trash", "sutler.dev/trash-delay": "60"}, 60),
        ({"sutler.dev/deletion-policy": "trash"}, 86400),
        ({"sutler.dev/deletion-policy": "trash", "sutler.dev/trash-delay": "7d"}, 604800),
        ({"sutler.dev/deletion-policy": "trash", "sutler.dev/trash-delay": "86399999913600"}, 86399999913600),
        ({"sutler.dev/deletion-policy": "remove", "sutler.dev/trash-delay": "x"}, None),
    ],
)
def test_deletion_needs_no_class(annotations: dict[str, str], delay: int | None) -> None:
    decision = deletion.decide(volume(annotations=annotations), attached=False)
    assert decision == deletion.DeleteImage(VolumeRequest(ImageLocation("", "rbd", "", f"shop-data-{UID}"), UID), delay)


@pytest.mark.parametrize("finalizers", [[FINALIZER], [FINALIZER, "x"], ["x", FINALIZER]])
def test_sutlers_finalizer_is_removed_by_its_index(finalizers: list[str]) -> None:
    patch = deletion.finalizer_removal(volume(metadata={"finalizers": finalizers}))
    path = f"/metadata/finalizers/{finalizers.index(FINALIZER)}"
    assert patch == [{"op": "test", "path": path, "value": FINALIZER}, {"op": "remove", "path": path}]


BOUND = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
PENDING = BOUND | {"conditions": [{"type": "FileSystemResizePending", "status": "True"}]}


@pytest.mark.parametrize(
    ("case", "obj", "vol", "kind"),
    [
        ("asks for more", claim(size="2Gi", status=BOUND), volume(phase="Bound"), expansion.GrowVolume),
        ("asks for a little more", claim(size="1073741825", status=BOUND), volume(phase="Bound"), expansion.GrowVolume),
        ("asks for what it has", claim(status=BOUND), volume(phase="Bound"), expansion.KeepSize),
        ("asks for less", claim(size="1Mi", status=BOUND), volume(phase="Bound"), expansion.KeepSize),
        ("not bound", claim(size="2Gi"), volume(phase="Bound"), expansion.KeepSize),
        ("bound to another", claim(size="2Gi", status=BOUND), volume(phase="Bound", claimRef={"uid": "x"}),
         expansion.KeepSize),
        ("not ours", claim(size="2Gi", status=BOUND), volume(annotations={"pv.kubernetes.io/provisioned-by": "x"}),
         expansion.KeepSize),
        ("being deleted", claim(size="2Gi", status=BOUND, metadata=LEAVING), volume(phase="Bound"), expansion.KeepSize),
        ("volume being deleted", claim(size="2Gi", status=BOUND), volume(phase="Bound", metadata=LEAVING),
         expansion.KeepSize),
        ("waits for the node", claim(size="2Gi", status=PENDING), volume(phase="Bound", capacity={"storage": "2Gi"}),
         expansion.KeepSize),
        ("grown again while it waits for the node", claim(size="3Gi", status=PENDING), volume(
            phase="Bound", capacity={"storage": "2Gi"}), expansion.GrowVolume),
        ("killed after the volume was written", claim(size="2Gi", status=BOUND), volume(
            phase="Bound", capacity={"storage": "2Gi"}), expansion.GrowVolume),
        ("too much", claim(size="8Ei", status=BOUND), volume(phase="Bound"), expansion.RefuseExpansion),
        ("image unknown", claim(size="2Gi", status=BOUND), volume(phase="Bound", annotations={"sutler.dev/image": ""}),
         expansion.RefuseExpansion),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_volume_grows_only_when_its_claim_asks(case: str, obj: Any, vol: Any, kind: type) -> None:
    assert isinstance(expansion.decide(obj, vol), kind), case


def test_growth_is_exact_and_knows_how_far_it_got() -> None:
    first = expansion.decide(claim(size="2.5Gi", status=BOUND), volume(phase="Bound"))
    assert isinstance(first, expansion.GrowVolume)
    assert (first.size, first.capacity, first.volume_done) == (2560 * 1024**2, "2560Mi", False)
    again = expansion.decide(claim(size="2.5Gi", status=BOUND), volume(phase="Bound", capacity={"storage": "2560Mi"}))
    assert isinstance(again, expansion.GrowVolume)
    assert again.volume_done


def test_grown_filesystem_waits_for_the_node_and_grown_block_device_is_done() -> None:
    filesystem = claim(size="2Gi", status=BOUND | {"conditions": [{"type": "Resizing"}, {"type": "Other"}]})
    grow = expansion.decide(filesystem, volume(phase="Bound"))
    assert isinstance(grow, expansion.GrowVolume)
    status = expansion.resized_status(filesystem, grow, "now")["status"]
    assert [c["type"] for c in status["conditions"]] == ["Other", "FileSystemResizePending"]
    assert "capacity" not in status
    block = claim(size="2Gi", volumeMode="Block", status=BOUND)
    grow = expansion.decide(block, volume(phase="Bound"))
    assert isinstance(grow, expansion.GrowVolume)
    assert expansion.resized_status(block, grow, "now")["status"] == {"conditions": [], "capacity": {"storage": "2Gi"}}


def test_growth_tells_the_node_to_grow_where_another_resizer_has_been() -> None:
    allocated = {"allocatedResources": {"storage": "1Gi"}, "allocatedResourceStatuses": {"storage": "x"}}
    filesystem = claim(size="2Gi", status=BOUND | allocated)
    grow = expansion.decide(filesystem, volume(phase="Bound"))
    assert isinstance(grow, expansion.GrowVolume)
    status = expansion.resized_status(filesystem, grow, "now")["status"]
    assert status["allocatedResources"] == {"storage": "2Gi"}
    assert status["allocatedResourceStatuses"] == {"storage": "NodeResizePending"}
    block = claim(size="2Gi", volumeMode="Block", status=BOUND | allocated)
    grow = expansion.decide(block, volume(phase="Bound"))
    assert isinstance(grow, expansion.GrowVolume)
    status = expansion.resized_status(block, grow, "now")["status"]
    assert (status["allocatedResources"], status["allocatedResourceStatuses"]) == (
        {"storage": "2Gi"},
        {"storage": None},
    )


def test_claim_of_an_in_tree_volume_is_completed_by_kubernetes_alone() -> None:
    source = {"image": "x"}
    grow = expansion.decide(claim(size="2Gi", status=BOUND), volume(phase="Bound", rbd=source))
    assert isinstance(grow, expansion.GrowVolume)
    assert grow.in_tree
    for mode in ("Filesystem", "Block"):
        grown = expansion.decide(
            claim(size="2Gi", volumeMode=mode, status=BOUND),
            volume(phase="Bound", rbd=source, capacity={"storage": "2Gi"}),
        )
        assert grown == expansion.KeepSize("Kubernetes has not completed the claim yet")
