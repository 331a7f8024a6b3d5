"""Snapshots of claims, with the snapshot-controller of Kubernetes and a real Ceph."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import SutlerProcess, wait_for
from tests.volumes.snapshot_env import GROUP, SnapshotEnv
from tests.volumes.volume_env import Json, VolumeEnv, claim

pytestmark = pytest.mark.usefixtures("snapshot_controller")

PREFIX = "snapshot.storage.kubernetes.io/"


@pytest.fixture
def snapshots(env: VolumeEnv, direct: Any) -> Iterator[SnapshotEnv]:
    made = SnapshotEnv(env, direct)
    yield made
    made.clean_up()


def pre_provisioned(env: VolumeEnv, name: str, handle: str, policy: str, driver: str = "rbd.sutler.dev") -> None:
    """A content by hand, and the snapshot that names it."""
    reference = {"name": name, "namespace": env.namespace}
    content: Json = {"driver": driver, "deletionPolicy": policy, "source": {"snapshotHandle": handle}}
    kind = {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshotContent", "metadata": {"name": content_name(env, name)}}
    env.apply({**kind, "spec": {**content, "volumeSnapshotRef": reference}})
    source = {"source": {"volumeSnapshotContentName": content_name(env, name)}}
    env.apply({"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot", "metadata": {"name": name}, "spec": source})

    def bound() -> object:
        return (env.get("volumesnapshot", name).get("status") or {}).get("boundVolumeSnapshotContentName")

    # A snapshot that is deleted before leaves its content: the snapshot-controller does not know it yet.
    wait_for(bound, "the snapshot to be bound")


def content_name(env: VolumeEnv, name: str) -> str:
    return f"{env.namespace}-{name}"


def test_snapshot_of_a_claim_is_one_of_its_image_and_goes_with_it(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    env.apply(claim("data", env.storage_class(), "16Mi"))
    env.wait_bound()
    snapshots.snapshot("monday", "data", snapshots.snapshot_class())
    content = snapshots.wait_ready("monday")
    image, uid = snapshots.image_of("data"), env.get("volumesnapshot", "monday")["metadata"]["uid"]
    assert snapshots.snapshots(image) == [f"sutler-{uid}"]
    status, volume = content["status"], env.volume_of("data")
    ids = [volume["metadata"]["annotations"][f"sutler.dev/{key}"] for key in ("pool-id", "image-id")]
    assert status["snapshotHandle"].startswith(f"sutler-1//{ids[0]}//{ids[1]}/")
    assert status["restoreSize"] == 16 << 20
    assert status["readyToUse"] is True
    assert status["creationTime"] > 10**18
    annotations = content["metadata"]["annotations"]
    assert annotations["sutler.dev/snapshot-source"] == status["snapshotHandle"].rpartition("/")[0]
    wait_for(
        lambda: PREFIX + "volumesnapshot-being-created" not in snapshots.content("monday")["metadata"]["annotations"],
        "the announcement to be gone",
    )
    snapshots.delete("volumesnapshot", "monday")
    wait_for(lambda: not snapshots.contents(), "the content to be gone")
    assert snapshots.snapshots(image) == []
    name = 'csi_sidecar_operations_seconds_count{{driver_name="rbd.sutler.dev",grpc_status_code="OK",method_name="{}"}}'
    metrics = env.process.metrics()
    assert metrics[name.format("/csi.v1.Controller/CreateSnapshot")] >= 1
    assert metrics[name.format("/csi.v1.Controller/DeleteSnapshot")] >= 1


def test_snapshots_of_one_image_at_the_same_time_wait_for_each_other(snapshots: SnapshotEnv) -> None:
    """As schedules make them and delete them. What has been requested while Sutler was away is due all at once."""
    env, names = snapshots.env, [f"hour-{number}" for number in range(5)]
    env.apply(claim("data", env.storage_class(), "16Mi"))
    env.wait_bound()
    by_class = snapshots.snapshot_class()
    env.process.kill9()
    for name in names:
        snapshots.snapshot(name, "data", by_class)
    wait_for(lambda: len(snapshots.contents()) == len(names), "the contents")
    env.process.start()
    wait_for(lambda: all(map(snapshots.is_ready, names)), "all snapshots to be ready")
    image = snapshots.image_of("data")
    assert len(snapshots.snapshots(image)) == len(names)
    assert turned_away(env) == {}

    env.process.kill9()
    env.kubectl("delete", "volumesnapshot", *names, "--wait=false")
    wait_for(lambda: deleting(snapshots) == len(names), "the contents to be deleted")
    env.process.start()
    wait_for(lambda: not snapshots.contents(), "the contents to be gone")
    assert snapshots.snapshots(image) == []
    assert turned_away(env) == {}


def turned_away(env: VolumeEnv) -> dict[str, float]:
    """Calls that failed because another one had not ended."""
    counted, name = env.process.metrics(), "csi_sidecar_operations_seconds_count"
    return {key: count for key, count in counted.items() if key.startswith(name) and '"Unavailable"' in key}


def deleting(snapshots: SnapshotEnv) -> int:
    found = [snapshots.env.get("volumesnapshotcontent", name)["metadata"] for name in snapshots.contents()]
    return sum("deletionTimestamp" in one for one in found)


def test_retained_snapshot_outlives_its_objects_and_can_be_named_again(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    env.apply(claim("data", env.storage_class(), "16Mi"))
    env.wait_bound()
    snapshots.snapshot("monday", "data", snapshots.snapshot_class("Retain"))
    content = snapshots.wait_ready("monday")
    image, handle = snapshots.image_of("data"), content["status"]["snapshotHandle"]
    snapshots.delete("volumesnapshot", "monday")
    snapshots.delete("volumesnapshotcontent", content["metadata"]["name"])
    wait_for(lambda: not snapshots.contents(), "the content to be gone")
    assert len(snapshots.snapshots(image)) == 1
    env.ceph.rbd("rename", f"{env.pool}/{image}", f"{env.pool}/renamed")
    pre_provisioned(env, "again", handle, "Delete")
    assert snapshots.wait_ready("again")["status"]["restoreSize"] == 16 << 20
    snapshots.delete("volumesnapshot", "again")
    wait_for(lambda: not snapshots.contents(), "the content to be gone")
    assert snapshots.snapshots("renamed") == []


def test_snapshot_that_another_content_has_too_is_kept(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    env.apply(claim("data", env.storage_class(), "16Mi"))
    env.wait_bound()
    snapshots.snapshot("monday", "data", snapshots.snapshot_class())
    first = snapshots.wait_ready("monday")
    pre_provisioned(env, "copy", first["status"]["snapshotHandle"], "Retain")
    snapshots.wait_ready("copy")
    snapshots.delete("volumesnapshot", "monday")
    name = first["metadata"]["name"]
    env.wait_event(name, "SnapshotDeleteError", "has it, too", namespace="default")
    assert len(snapshots.snapshots(snapshots.image_of("data"))) == 1
    snapshots.delete("volumesnapshot", "copy")
    snapshots.delete("volumesnapshotcontent", content_name(env, "copy"))
    wait_for(lambda: not snapshots.contents(), "both contents to be gone")
    assert snapshots.snapshots(snapshots.image_of("data")) == []


@pytest.mark.parametrize(
    ("handle", "says"),
    [("0001-0004-ceph-1", "is not a snapshot of Sutler's"), ("sutler-1//1//nothing/4", "does not exist")],
)
def test_wrong_handle_is_an_error_and_its_content_can_be_deleted(
    snapshots: SnapshotEnv, handle: str, says: str
) -> None:
    env = snapshots.env
    pre_provisioned(env, "wrong", handle, "Delete")
    name = content_name(env, "wrong")

    def said() -> str:
        status = env.get("volumesnapshotcontent", name).get("status") or {}
        return str((status.get("error") or {}).get("message", ""))

    wait_for(lambda: says in said(), "the error in the status")
    env.wait_event(name, "SnapshotContentCheckandUpdateFailed", says, namespace="default")
    snapshots.delete("volumesnapshot", "wrong")
    wait_for(lambda: not snapshots.contents(), "the content to be gone")


def test_claim_of_another_provisioner_gets_no_snapshot(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    attributes = {"clusterID": "x", "pool": env.pool, "staticVolume": "true"}
    foreign = f"foreign-{env.namespace}"
    spec = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {"namespace": env.namespace, "name": "data"},
        "csi": {"driver": "rbd.csi.ceph.com", "volumeHandle": "data", "volumeAttributes": attributes},
    }
    env.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": foreign}, "spec": spec})
    env.apply(claim("data", "", "1Mi", volumeName=foreign))
    env.wait_bound()
    snapshots.snapshot("monday", "data", snapshots.snapshot_class())
    wait_for(snapshots.contents, "the content")
    (name,) = snapshots.contents()
    env.wait_event(name, "SnapshotCreationFailed", "is not one of Sutler's", namespace="default")
    snapshots.delete("volumesnapshot", "monday")
    wait_for(lambda: not snapshots.contents(), "the content to be gone")
    env.kubectl("delete", "pvc", "data", "--wait=false")
    env.control_plane.kubectl("delete", "pv", foreign, "--wait=false")


@pytest.mark.parametrize("order", ["claim first", "snapshot first"])
def test_image_of_a_deleted_claim_is_parked_until_its_snapshot_is_deleted(snapshots: SnapshotEnv, order: str) -> None:
    env = snapshots.env
    env.apply(claim("data", env.storage_class(), "16Mi"))
    env.wait_bound()
    snapshots.snapshot("monday", "data", snapshots.snapshot_class())
    snapshots.wait_ready("monday")
    image, volume = snapshots.image_of("data"), env.volume_of("data")["metadata"]["name"]
    if order == "snapshot first":
        snapshots.delete("volumesnapshot", "monday")
        env.delete_claims()
        snapshots.wait_nothing_left()
        return
    env.delete_claims()
    wait_for(lambda: not env.volumes(), "the volume to be gone")
    env.wait_event(volume, "ImageParked", image, namespace="default")
    assert env.images() == [image]
    assert snapshots.is_ready("monday")
    gauge = f'sutler_parked_images{{cluster="",pool="{env.pool}"}}'
    wait_for(lambda: env.process.metrics().get(gauge) == 1, "the image to be counted")
    snapshots.delete("volumesnapshot", "monday")
    snapshots.wait_nothing_left()


def test_driver_of_the_volumes_is_served_on_request(
    snapshots: SnapshotEnv, start_volumes: Callable[..., SutlerProcess]
) -> None:
    env = snapshots.env
    env.apply(claim("data", env.storage_class(), "16Mi"))
    env.wait_bound()
    env.process.stop()
    other = start_volumes("--snapshot-driver=rbd.csi.ceph.com")
    other.start()
    try:
        snapshots.snapshot("monday", "data", snapshots.snapshot_class(driver="rbd.csi.ceph.com"))
        snapshots.wait_ready("monday")
        snapshots.delete("volumesnapshot", "monday")
        wait_for(lambda: not snapshots.contents(), "the content to be gone")
    finally:
        other.stop()
        env.process.start()
