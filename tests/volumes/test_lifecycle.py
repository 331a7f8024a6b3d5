"""What becomes of a volume after it is bound, and what classes may ask for."""

import json

from tests.cluster import wait_for
from tests.volumes.world import World, claim

GROW = '{"spec":{"resources":{"requests":{"storage":"2.5Gi"}}}}'


def trash(world: World) -> list[str]:
    return [entry["name"] for entry in json.loads(world.ceph.rbd("trash", "ls", world.pool, "--format", "json"))]


def resizing(world: World) -> list[tuple[str, str]]:
    """The claim's conditions but for that of Kubernetes 1.37 and newer which says that no Pod uses it."""
    conditions = world.get("pvc", "data")["status"].get("conditions", [])
    return [(one["type"], one["status"]) for one in conditions if one["type"] != "Unused"]


def test_block_volume_grows_online_and_exactly(world: World) -> None:
    cls = world.storage_class(allowVolumeExpansion=True)
    world.apply(claim("data", cls, "1.5Gi", volumeMode="Block"))
    world.wait_bound()
    (image,) = world.images()
    world.kubectl("patch", "pvc", "data", "-p", GROW)
    wait_for(lambda: world.get("pvc", "data")["status"]["capacity"]["storage"] == "2560Mi", "the claim to have grown")
    assert world.image(image)["size"] == 2560 * 1024**2
    assert world.volume_of("data")["spec"]["capacity"]["storage"] == "2560Mi"
    assert not resizing(world)
    world.wait_event("data", "VolumeResizeSuccessful", "2560Mi")


def test_filesystem_volume_grows_and_leaves_the_rest_to_the_node(world: World) -> None:
    cls = world.storage_class(allowVolumeExpansion=True)
    world.apply(claim("data", cls, "1.5Gi"))
    world.wait_bound()
    (image,) = world.images()
    world.kubectl("patch", "pvc", "data", "-p", GROW)
    wait_for(lambda: resizing(world), "the claim's condition")
    wait_for(lambda: world.image(image)["size"] == 2560 * 1024**2, "the image to have grown")
    world.wait_event("data", "FileSystemResizeRequired", "the node grows the filesystem")
    assert resizing(world) == [("FileSystemResizePending", "True")]
    assert world.get("pvc", "data")["status"]["capacity"]["storage"] == "1536Mi"
    assert world.volume_of("data")["spec"]["capacity"]["storage"] == "2560Mi"


def test_trashed_image_can_be_restored_until_its_time_is_over(world: World) -> None:
    keep = world.storage_class({"deletionPolicy": "trash", "trashDelay": "1h"})
    drop = world.storage_class({"deletionPolicy": "trash"}, {"sutler.dev/trashDelay": "1s"})
    world.apply(claim("keep", keep), claim("drop", drop))
    world.wait_bound(2)
    kept, dropped = sorted(world.images(), key=lambda name: "-drop-" in name)
    world.delete_claims()
    world.wait_gone()
    wait_for(lambda: trash(world) == [kept], "the one whose time is over to be removed for good")
    assert dropped not in trash(world)
    entry = json.loads(world.ceph.rbd("trash", "ls", world.pool, "--format", "json"))[0]
    world.ceph.rbd("trash", "restore", f"{world.pool}/{entry['id']}")
    assert world.metadata(kept)["csi.storage.k8s.io/pvc/name"] == "keep"
    world.ceph.rbd("rm", f"{world.pool}/{kept}")


def test_class_sets_data_pool_namespace_objects_and_stripes(world: World) -> None:
    data = world.ceph.pool(f"{world.pool}-data")
    world.ceph.rbd("namespace", "create", f"{world.pool}/tenant")
    cls = world.storage_class(
        {
            "dataPool": data,
            "radosNamespace": "tenant",
            "objectSize": "8Mi",
            "stripeUnit": "64Ki",
            "stripeCount": "4",
            "imageFeatures": "layering,exclusive-lock,object-map,fast-diff",
            "imageNameTemplate": "kube-{uid}",
        }
    )
    world.apply(claim("data", cls))
    (bound,) = world.wait_bound()
    name = f"kube-{bound['metadata']['uid']}"
    assert world.images(f"{world.pool}/tenant") == [name]
    info = json.loads(world.ceph.rbd("info", f"{world.pool}/tenant/{name}", "--format", "json"))
    assert (info["data_pool"], info["object_size"], info["stripe_unit"], info["stripe_count"]) == (
        data,
        8 << 20,
        65536,
        4,
    )
    assert {"object-map", "fast-diff", "data-pool"} <= set(info["features"])
    world.delete_claims()
    world.wait_gone(pools=[f"{world.pool}/tenant"])
    world.ceph.remove_pool(data)


def test_volume_for_kubernetes_own_plugin_can_be_mounted_by_it(world: World) -> None:
    cls = world.storage_class({"volumeSource": "rbd"})
    world.apply(claim("data", cls))
    world.wait_bound()
    source = world.volume_of("data")["spec"]["rbd"]
    assert source["pool"] == world.pool
    assert source["image"] in world.images()
    assert source["monitors"]
    assert source["monitors"][0] in world.ceph.conf.read_text()


def test_large_image_is_removed_behind_the_volumes_back(world: World) -> None:
    cls = world.storage_class({"objectSize": "4Ki"})
    world.apply(claim("data", cls, "80Mi"))
    world.wait_bound()
    world.delete_claims()
    world.wait_gone()
    wait_for(lambda: not trash(world), "the image to leave the trash", 120)
