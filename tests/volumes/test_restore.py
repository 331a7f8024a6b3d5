"""Claims from snapshots and from other claims, with the snapshot-controller of Kubernetes and a real Ceph."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import wait_for
from tests.volumes.snapshot_env import GROUP, SnapshotEnv
from tests.volumes.volume_env import Json, VolumeEnv, claim

pytestmark = pytest.mark.usefixtures("snapshot_controller")

MIB = 1 << 20


@pytest.fixture
def snapshots(env: VolumeEnv, direct: Any) -> Iterator[SnapshotEnv]:
    made = SnapshotEnv(env, direct)
    yield made
    made.clean_up()


def of_snapshot(name: str) -> Json:
    return {"dataSource": {"apiGroup": GROUP, "kind": "VolumeSnapshot", "name": name}}


def of_claim(name: str) -> Json:
    return {"dataSource": {"kind": "PersistentVolumeClaim", "name": name}}


def protected(env: VolumeEnv, kind: str, name: str) -> bool:
    finalizers = env.get(kind, name)["metadata"].get("finalizers") or []
    return any(one.startswith("provisioner.storage.kubernetes.io/") for one in finalizers)


@pytest.mark.parametrize("mode", ["Filesystem", "Block"])
def test_restored_claim_has_the_data_of_the_snapshot(snapshots: SnapshotEnv, mode: str) -> None:
    env = snapshots.env
    cls = env.storage_class({"csi.storage.k8s.io/fstype": "xfs"})
    other = env.storage_class({"imageFeatures": "layering,exclusive-lock,object-map,fast-diff,deep-flatten"})
    env.apply(claim("data", cls, "16Mi", volumeMode=mode))
    env.wait_bound()
    snapshots.write("data", "first")
    snapshots.snapshot("monday", "data", snapshots.snapshot_class())
    snapshots.wait_ready("monday")
    snapshots.write("data", "second")
    env.apply(claim("same", cls, "16Mi", volumeMode=mode, **of_snapshot("monday")))
    env.apply(claim("larger", other, "32Mi", volumeMode=mode, **of_snapshot("monday")))
    env.wait_bound(3)
    assert [snapshots.read(name) for name in ("same", "larger", "data")] == ["first", "first", "second"]
    assert env.image(snapshots.image_of("larger"))["size"] == 32 * MIB
    assert env.volume_of("larger")["spec"]["capacity"]["storage"] == "32Mi"
    assert snapshots.read("larger", 24 * MIB) == ""
    volume, image = env.volume_of("same"), snapshots.image_of("same")
    assert volume["spec"]["csi"].get("fsType") == ("xfs" if mode == "Filesystem" else None)
    # The class says ext4, and what is on the image is xfs.
    assert env.volume_of("larger")["spec"]["csi"].get("fsType") == ("xfs" if mode == "Filesystem" else None)
    annotations = volume["metadata"]["annotations"]
    source = env.volume_of("data")["metadata"]["annotations"]
    assert annotations["sutler.dev/ancestors"] == (
        f"sutler-1//{source['sutler.dev/pool-id']}//{source['sutler.dev/image-id']}"
    )
    metadata = env.metadata(image)
    assert metadata["csi.storage.k8s.io/pvc/name"] == "same"
    assert metadata["sutler.dev/image-id"] == annotations["sutler.dev/image-id"]
    wait_for(lambda: not protected(env, "volumesnapshot", "monday"), "the snapshot to be released")
    # What is written to the one is in no other.
    snapshots.write("same", "third")
    assert [snapshots.read(name) for name in ("same", "larger", "data")] == ["third", "first", "second"]


def test_clone_of_a_claim_and_a_clone_of_the_clone(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    cls = env.storage_class()
    env.apply(claim("data", cls, "16Mi"))
    env.wait_bound()
    snapshots.write("data", "first")
    env.apply(claim("clone", cls, "16Mi", **of_claim("data")))
    env.wait_bound(2)
    snapshots.write("data", "second")
    snapshots.write("clone", "third")
    env.apply(claim("again", cls, "24Mi", **of_claim("clone")))
    env.wait_bound(3)
    assert [snapshots.read(name) for name in ("data", "clone", "again")] == ["second", "third", "third"]
    assert [snapshots.snapshots(snapshots.image_of(name)) for name in ("data", "clone", "again")] == [[], [], []]
    wait_for(lambda: not protected(env, "pvc", "data"), "the source to be released")
    assert len(env.volume_of("again")["metadata"]["annotations"]["sutler.dev/ancestors"].split()) == 2
    env.delete_claims("data", "clone")
    wait_for(lambda: len(env.volumes()) == 1, "both volumes to be gone")
    assert snapshots.read("again") == "third"
    env.delete_claims()
    snapshots.wait_nothing_left()


def test_claim_waits_for_its_source_and_says_so(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    cls = env.storage_class()
    env.apply(claim("early", cls, "16Mi", **of_snapshot("monday")))
    env.wait_event("early", "ProvisioningFailed", "VolumeSnapshot monday does not exist")
    env.apply(claim("data", cls, "16Mi"), claim("clone", cls, "16Mi", **of_claim("data")))
    snapshots.snapshot("monday", "data", snapshots.snapshot_class())
    env.wait_bound(3)


@pytest.mark.needs(kubernetes="1.24", why="older servers drop the source that a populator serves")
def test_unfit_sources_get_no_volume(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    cls = env.storage_class()
    env.apply(claim("data", cls, "16Mi"))
    env.wait_bound()
    snapshots.snapshot("monday", "data", snapshots.snapshot_class())
    snapshots.wait_ready("monday")
    populated = {"dataSourceRef": {"apiGroup": "example.com", "kind": "Backup", "name": "b"}}
    env.apply(
        claim("small", cls, "8Mi", **of_snapshot("monday")),
        claim("smaller", cls, "8Mi", **of_claim("data")),
        claim("block", cls, "16Mi", volumeMode="Block", **of_snapshot("monday")),
        claim("populated", cls, "16Mi", **populated),
    )
    env.wait_event("small", "ProvisioningFailed", f"request {16 * MIB} or more")
    env.wait_event("smaller", "ProvisioningFailed", f"request {16 * MIB} or more")
    env.wait_event("block", "ProvisioningFailed", "allow-volume-mode-change")
    event = env.wait_event("populated", "Provisioning", "assuming an external populator")
    assert event["type"] == "Normal"
    assert len(env.volumes()) == len(env.images()) == 1
    # Nothing keeps the sources from being deleted once no claim waits for them.
    env.delete_claims("small", "smaller", "block", "populated")
    wait_for(lambda: len(env.claims()) == 1, "the claims to be gone")
    wait_for(lambda: not protected(env, "pvc", "data"), "the claim to be released")
    wait_for(lambda: not protected(env, "volumesnapshot", "monday"), "the snapshot to be released")


def test_restored_claim_has_snapshots_of_its_own(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    cls, by_snapshot = env.storage_class(), snapshots.snapshot_class()
    env.apply(claim("data", cls, "16Mi"))
    env.wait_bound()
    snapshots.write("data", "first")
    snapshots.snapshot("monday", "data", by_snapshot)
    snapshots.wait_ready("monday")
    env.apply(claim("restored", cls, "16Mi", **of_snapshot("monday")))
    env.wait_bound(2)
    snapshots.write("restored", "second", offset=MIB)
    snapshots.snapshot("tuesday", "restored", by_snapshot)
    snapshots.wait_ready("tuesday")
    env.apply(claim("again", cls, "16Mi", **of_snapshot("tuesday")))
    env.wait_bound(3)
    assert (snapshots.read("again"), snapshots.read("again", MIB)) == ("first", "second")
    # From the root to the tip: nothing that is still needed goes.
    for kind, name in (("volumesnapshot", "monday"), ("pvc", "data"), ("pvc", "restored")):
        snapshots.delete(kind, name)
    wait_for(lambda: len(env.volumes()) == 1, "the other volumes to be gone")
    assert (snapshots.read("again"), snapshots.read("again", MIB)) == ("first", "second")
    snapshots.delete("volumesnapshot", "tuesday")
    env.delete_claims()
    snapshots.wait_nothing_left()
