"""`sutler volumes list`, `show` and `orphans`, with the REST API beside them and without."""

from collections.abc import Iterator

import pytest

from tests.api.client import ADMIN
from tests.api.conftest import Service
from tests.cluster import Ceph, ControlPlane, Place, wait_for
from tests.volumes.command import Sutler
from tests.volumes.volume_env import Json, VolumeEnv, claim


@pytest.fixture(scope="module")
def service(place: Place, ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    started = Service(place, ceph, tmp_path_factory.mktemp("api"))
    started.start()
    yield started
    started.process.stop()


@pytest.fixture
def alone(control_plane: ControlPlane) -> Sutler:
    """Without the REST API."""
    return Sutler(control_plane.kubeconfig)


@pytest.fixture
def sutler(control_plane: ControlPlane, service: Service) -> Sutler:
    access = {"SUTLER_API_URL": service.url, "SUTLER_API_CA": str(service.api.authority), "SUTLER_API_TOKEN": ADMIN}
    return Sutler(control_plane.kubeconfig, access)


def test_list_has_a_line_for_each_claim(env: VolumeEnv, sutler: Sutler, alone: Sutler) -> None:
    cls = env.storage_class({"imageFeatures": "layering,exclusive-lock,object-map"})
    slow = env.storage_class(volumeBindingMode="WaitForFirstConsumer")
    env.apply(claim("data", cls), claim("later", slow, "1Gi"))
    wait_for(lambda: env.get("pvc", "data")["status"]["phase"] == "Bound", "the claim to be Bound")
    uid = env.get("pvc", "data")["metadata"]["uid"]
    ran = sutler("volumes", "list", "-n", env.namespace)
    heading, first, second = ran.out.splitlines()
    assert heading.split() == ["CLAIM", "VOLUME", "IMAGE", "SIZE", "USED", "STATE"]
    image = f"{env.pool}/{env.namespace}-data-{uid}"
    assert first.split() == [f"{env.namespace}/data", f"pvc-{uid}", image, "1.5Gi", "0", "Bound"]
    assert second.split() == [f"{env.namespace}/later", "-", "-", "1Gi", "-", "Pending"]
    assert (ran.status, ran.err) == (0, "")
    row = sutler("volumes", "list", "-n", env.namespace, "-o", "json").json[0]
    assert row == {
        "claim": f"{env.namespace}/data", "volume": f"pvc-{uid}", "class": cls, "image": image, "clusterID": None,
        "size": 1610612736, "used": 0, "state": "Bound", "message": None,
    }  # fmt: skip
    without = alone("volumes", "list", "-n", env.namespace)
    assert without.out.splitlines()[1].split()[-3:] == ["1.5Gi", "-", "Bound"]
    assert (without.status, without.err.count("\n")) == (0, 1)
    assert "set SUTLER_API_URL and SUTLER_API_TOKEN" in without.err
    away = alone("volumes", "list", SUTLER_API_URL="https://localhost:1", SUTLER_API_TOKEN=ADMIN)
    assert (away.status, away.err.count("\n"), "does not answer" in away.err) == (0, 1, True)


@pytest.mark.long
def test_images_of_a_cluster_that_the_api_does_not_know_are_not_counted(env: VolumeEnv, sutler: Sutler) -> None:
    features = {"imageFeatures": "layering,exclusive-lock,object-map"}
    here, there = env.storage_class(features), env.storage_class(features | {"clusterID": "b"})
    env.apply(claim("here", here), claim("there", there))
    env.wait_bound(2)

    def used(*words: str) -> list[int | None]:
        return [row["used"] for row in sutler("volumes", "list", "-n", env.namespace, "-o", "json", *words).json]

    assert used() == [0, None]
    assert used("--cluster-id", "b") == [None, 0]


def test_show_has_the_events_and_the_image(env: VolumeEnv, sutler: Sutler, alone: Sutler) -> None:
    cls = env.storage_class()
    env.apply(claim("data", cls), claim("shared", cls, accessModes=["ReadWriteMany"]))
    env.wait_event("data", "ProvisioningSucceeded", "Provisioned volume")
    env.wait_event("shared", "ProvisioningFailed", "would destroy the filesystem")
    shown = sutler("volumes", "show", f"{env.namespace}/data").out
    for text in (
        "State:          Bound",
        "1.5Gi (1610612736 bytes)",
        "Watchers:       none",
        "ProvisioningSucceeded:",
    ):
        assert text in shown, shown
    volume = env.volume_of("data")["metadata"]["name"]
    found = sutler("volumes", "show", volume, "-o", "json").json
    assert found["claim"] == f"{env.namespace}/data"
    assert found["details"]["metadata"]["csi.storage.k8s.io/pvc/name"] == "data"
    assert "would destroy the filesystem" in alone("volumes", "show", f"{env.namespace}/shared").out
    missing = alone("volumes", "show", "nothing")
    assert (missing.status, "nothing: no such volume" in missing.err) == (1, True)


def test_events_of_other_programs_need_neither_texts_nor_an_object_with_a_name(env: VolumeEnv, sutler: Sutler) -> None:
    env.apply(claim("data", env.storage_class()))
    env.wait_bound()
    volume = env.volume_of("data")["metadata"]["name"]

    def record(namespace: str, involved: Json, **rest: str) -> str:
        events = f"/api/v1/namespaces/{namespace}/events"
        metadata = {"generateName": "other-", "namespace": namespace}
        made = env.control_plane.request("POST", events, {"metadata": metadata, "involvedObject": involved, **rest})
        return f"{events}/{made['metadata']['name']}"

    record(env.namespace, {"kind": "PersistentVolumeClaim", "name": "data", "namespace": env.namespace})
    bare = [record("default", {"name": name} if name else {}, reason="VolumeFailedDelete") for name in ("", volume)]
    try:
        assert sutler("volumes", "show", f"{env.namespace}/data").status == 0
        shown = sutler("volumes", "show", f"{env.namespace}/data", "-o", "json").json
        assert {"type": "", "reason": "", "message": "", "count": 1} in shown["events"]
        assert sutler("volumes", "orphans").status in {0, 1}
    finally:
        for event in bare:
            env.control_plane.request("DELETE", event)


def test_show_finds_a_parked_image_by_its_former_claim(env: VolumeEnv, sutler: Sutler, alone: Sutler) -> None:
    """Snapshots of administrators park it, too; what mirroring creates does not count."""
    env.apply(claim("data", env.storage_class(), "16Mi"))
    env.wait_bound()
    volume = env.volume_of("data")["metadata"]
    path = volume["annotations"]["sutler.dev/image"]
    env.ceph.rbd("mirror", "pool", "enable", env.pool, "image")
    env.ceph.rbd("mirror", "image", "enable", path, "snapshot")
    env.ceph.rbd("snap", "create", f"{path}@monday")
    env.delete_claims()
    wait_for(lambda: not env.volumes(), "the volume to be gone")
    env.wait_event(volume["name"], "ImageParked", path, namespace="default")
    for name in (f"{env.namespace}/data", path, volume["name"]):
        shown = sutler("volumes", "show", name).out
        for text in (
            "State:          Parked: claim and volume are deleted",
            f"Claim:          {env.namespace}/data",
            "Snapshots:      monday",
            "Mirroring:      by snapshot, enabled, primary",
            "ImageParked:",
        ):
            assert text in shown, shown
    details = sutler("volumes", "show", path, "-o", "json").json["details"]
    assert (details["parked"], details["mirroring"]["primary"]) == ({"trash_delay": None}, True)
    assert [one["kind"] for one in details["otherSnapshots"]] == ["mirror"]
    missing = alone("volumes", "show", f"{env.namespace}/data")
    assert (missing.status, "with the REST API only" in missing.err) == (1, True)
    env.ceph.rbd("snap", "rm", f"{path}@monday")
    wait_for(lambda: not env.images(), "the image to be gone", 60)


def test_orphans_are_listed_with_commands_to_fix_them(env: VolumeEnv, sutler: Sutler, alone: Sutler) -> None:
    cls = env.storage_class()
    env.apply(claim("left", cls), claim("lost", cls), claim("fine", cls))
    env.wait_bound(3)
    image, lost = (env.volume_of(name)["spec"]["csi"]["volumeHandle"] for name in ("left", "lost"))
    volume = env.volume_of("left")["metadata"]["name"]
    env.kubectl("patch", "pv", volume, "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}')
    env.delete_claims("left")
    wait_for(lambda: env.get("pv", volume)["status"]["phase"] == "Released", "the volume to be Released")
    env.kubectl("delete", "pv", volume)
    env.ceph.rbd("trash", "mv", f"{env.pool}/{lost}")
    # An image of another Kubernetes cluster, and one without an owner.
    env.ceph.rbd("create", f"{env.pool}/theirs", "--size", "1M")
    env.ceph.rbd("image-meta", "set", f"{env.pool}/theirs", "sutler.dev/uid", "u")
    env.ceph.rbd("image-meta", "set", f"{env.pool}/theirs", "sutler.dev/kubernetes", "another")
    env.ceph.rbd("create", f"{env.pool}/unowned", "--size", "1M")
    found = sutler("volumes", "orphans", "-o", "json")
    mine = [one for one in found.json if env.pool in one["name"] + one["why"]]
    path = f"{env.pool}/{image}"
    assert [(one["kind"], one["claim"]) for one in mine] == [
        ("image", f"{env.namespace}/left"), ("volume", f"{env.namespace}/lost"),
    ]  # fmt: skip
    assert (found.status, mine[0]["name"]) == (1, path)
    text = sutler("volumes", "orphans").out
    assert f"either: sutler volumes adopt {path} --claim {env.namespace}/left --class {cls}" in text
    assert f"is in the trash\n  either: sutler images trash restore {env.pool} " in text
    # Each command works.
    for fix in (mine[0]["fixes"][0], mine[1]["fixes"][0]):
        assert sutler(*fix.split()[1:]).status == 0, fix
    env.wait_bound(3)
    assert not [one for one in sutler("volumes", "orphans", "-o", "json").json if env.pool in str(one)]
    assert {image, lost} <= set(env.images())
    blind = alone("volumes", "orphans")
    assert (blind.status, "cannot find orphans without the REST API" in blind.err) == (3, True)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["adopt", "no-slash", "--claim", "a/b", "--class", "x"], 2, "is not POOL/IMAGE"),
        (["adopt", "rbd/disk", "--claim", "b", "--class", "x"], 2, "'b' is not NAMESPACE/NAME"),
        (["adopt", "rbd/disk", "--claim", "a/b", "--class", "nowhere"], 1, "StorageClass nowhere is not Sutler's"),
        (["adopt", "rbd/disk", "--claim", "a/b", "--class", "x", "--fstype", "ntfs"], 2, "not one of ext4"),
        (["restore", "a/b", "--class", "nowhere"], 1, "StorageClass nowhere is not Sutler's"),
        (["list", "--kubeconfig", "/nowhere"], 3, "kubeconfig /nowhere does not exist"),
        (["list", "--token-file", "/nowhere"], 2, "--token-file /nowhere cannot be read"),
    ],
)
def test_failure_has_a_status_and_a_sentence(alone: Sutler, words: list[str], status: int, said: str) -> None:
    ran = alone("volumes", *words)
    assert (ran.status, said in ran.err, ran.out) == (status, True, ""), ran.err
