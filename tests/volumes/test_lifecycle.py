"""What becomes of a volume after it is bound, and what classes may ask for."""

import json

from tests.cluster import wait_for
from tests.volumes.volume_env import VolumeEnv, claim

GROW = '{"spec":{"resources":{"requests":{"storage":"2.5Gi"}}}}'


def trash(env: VolumeEnv) -> list[str]:
    return [entry["name"] for entry in json.loads(env.ceph.rbd("trash", "ls", env.pool, "--format", "json"))]


def resizing(env: VolumeEnv) -> list[tuple[str, str]]:
    """The claim's conditions but for that of Kubernetes 1.37 and newer which says that no Pod uses it."""
    conditions = env.get("pvc", "data")["status"].get("conditions", [])
    return [(one["type"], one["status"]) for one in conditions if one["type"] != "Unused"]


def test_block_volume_grows_online_and_exactly(env: VolumeEnv) -> None:
    cls = env.storage_class(allowVolumeExpansion=True)
    env.apply(claim("data", cls, "1.5Gi", volumeMode="Block"))
    env.wait_bound()
    (image,) = env.images()
    env.kubectl("patch", "pvc", "data", "-p", GROW)
    wait_for(lambda: env.get("pvc", "data")["status"]["capacity"]["storage"] == "2560Mi", "the claim to have grown")
    assert env.image(image)["size"] == 2560 * 1024**2
    assert env.volume_of("data")["spec"]["capacity"]["storage"] == "2560Mi"
    assert not resizing(env)
    env.wait_event("data", "VolumeResizeSuccessful", "2560Mi")


def test_filesystem_volume_grows_and_leaves_the_rest_to_the_node(env: VolumeEnv) -> None:
    cls = env.storage_class(allowVolumeExpansion=True)
    env.apply(claim("data", cls, "1.5Gi"))
    env.wait_bound()
    (image,) = env.images()
    env.kubectl("patch", "pvc", "data", "-p", GROW)
    wait_for(lambda: resizing(env), "the claim's condition")
    wait_for(lambda: env.image(image)["size"] == 2560 * 1024**2, "the image to have grown")
    env.wait_event("data", "FileSystemResizeRequired", "the node resizes the filesystem")
    assert resizing(env) == [("FileSystemResizePending", "True")]
    assert env.get("pvc", "data")["status"]["capacity"]["storage"] == "1536Mi"
    assert env.volume_of("data")["spec"]["capacity"]["storage"] == "2560Mi"


def test_trashed_image_can_be_restored_until_its_time_is_over(env: VolumeEnv) -> None:
    keep = env.storage_class({"deletionPolicy": "trash", "trashDelay": "1h"})
    drop = env.storage_class({"deletionPolicy": "trash"}, {"sutler.dev/trashDelay": "1s"})
    env.apply(claim("keep", keep), claim("drop", drop))
    env.wait_bound(2)
    kept, dropped = sorted(env.images(), key=lambda name: "-drop-" in name)
    env.delete_claims()
    env.wait_gone()
    wait_for(lambda: trash(env) == [kept], "the one whose time is over to be removed for good")
    assert dropped not in trash(env)
    entry = json.loads(env.ceph.rbd("trash", "ls", env.pool, "--format", "json"))[0]
    env.ceph.rbd("trash", "restore", f"{env.pool}/{entry['id']}")
    assert env.metadata(kept)["csi.storage.k8s.io/pvc/name"] == "keep"
    env.ceph.rbd("rm", f"{env.pool}/{kept}")


def test_class_sets_data_pool_namespace_objects_and_stripes(env: VolumeEnv) -> None:
    data = env.ceph.pool(f"{env.pool}-data")
    env.ceph.rbd("namespace", "create", f"{env.pool}/tenant")
    cls = env.storage_class(
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
    env.apply(claim("data", cls))
    (bound,) = env.wait_bound()
    name = f"kube-{bound['metadata']['uid']}"
    assert env.images(f"{env.pool}/tenant") == [name]
    info = json.loads(env.ceph.rbd_program("info", f"{env.pool}/tenant/{name}", "--format", "json"))
    assert (info["data_pool"], info["object_size"], info["stripe_unit"], info["stripe_count"]) == (
        data,
        8 << 20,
        65536,
        4,
    )
    assert {"object-map", "fast-diff", "data-pool"} <= set(info["features"])
    env.delete_claims()
    env.wait_gone(pools=[f"{env.pool}/tenant"])
    env.ceph.remove_pool(data)


def test_volume_for_kubernetes_own_plugin_can_be_mounted_by_it(env: VolumeEnv) -> None:
    cls = env.storage_class({"volumeSource": "rbd"})
    env.apply(claim("data", cls))
    env.wait_bound()
    source = env.volume_of("data")["spec"]["rbd"]
    assert source["pool"] == env.pool
    assert source["image"] in env.images()
    assert source["monitors"]
    assert source["monitors"][0] in env.ceph.conf.read_text()


def test_large_image_is_removed_after_its_volume(env: VolumeEnv) -> None:
    cls = env.storage_class({"objectSize": "4Ki"})
    env.apply(claim("data", cls, "80Mi"))
    env.wait_bound()
    env.delete_claims()
    env.wait_gone()
    wait_for(lambda: not trash(env), "the image to leave the trash")
