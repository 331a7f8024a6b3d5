"""What renaming, copying and binding again make of a volume and its image, by the means of their users."""

import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rados
import rbd

from provisioner.ceph import fast_create
from provisioner.ceph.model import ImageSpec
from sutler.volumes.identity import image_id
from tests.cluster import SutlerProcess, wait_for
from tests.volumes.volume_env import VolumeEnv, claim


@pytest.fixture(scope="module")
def volumes(start_volumes: Callable[..., SutlerProcess]) -> Iterator[SutlerProcess]:
    """A controller that moves orphans to the trash at once."""
    started = start_volumes("--orphans=trash", "--orphan-grace=0.1")
    started.start()
    yield started
    started.stop()


def provision(env: VolumeEnv, name: str, **parameters: str) -> tuple[str, str]:
    """The names of a claim's volume and image."""
    env.apply(claim(name, env.storage_class(parameters), "8Mi"))
    wait_for(lambda: env.get("pvc", name)["status"]["phase"] == "Bound", "the claim to be Bound")
    made = env.volume_of(name)
    return made["metadata"]["name"], made["metadata"]["annotations"]["sutler.dev/image"].partition("/")[2]


def bind_again(env: VolumeEnv, volume_name: str, old: str, new: str) -> None:
    """As guides have it: Retain, delete the claim, clear the claimRef, bind a new claim, Delete."""
    keep, end = ({"spec": {"persistentVolumeReclaimPolicy": policy}} for policy in ("Retain", "Delete"))
    env.kubectl("patch", "pv", volume_name, "-p", json.dumps(keep))
    env.delete_claims(old)
    wait_for(lambda: env.get("pv", volume_name)["status"]["phase"] == "Released", "the volume to be Released")
    clear = [{"op": "remove", "path": "/spec/claimRef"}]
    env.kubectl("patch", "pv", volume_name, "--type=json", "-p", json.dumps(clear))
    cls = env.get("pv", volume_name)["spec"]["storageClassName"]
    env.apply(claim(new, cls, "8Mi", volumeName=volume_name))
    wait_for(lambda: env.get("pvc", new)["status"]["phase"] == "Bound", "the new claim to be Bound")
    env.kubectl("patch", "pv", volume_name, "-p", json.dumps(end))


def settle(env: VolumeEnv, rounds: int = 2) -> None:
    """Until the images have been compared as often again: another orphan has come and gone."""
    kubernetes = env.get("namespace", "kube-system")["metadata"]["uid"]
    for _ in range(rounds):
        uid = str(uuid.uuid4())
        name, said = f"marker-{uid}", {"sutler.dev/uid": uid, "sutler.dev/kubernetes": kubernetes}
        spec = ImageSpec(name, 1 << 20, metadata=said, id=image_id(kubernetes, name))
        with rados.Rados(conffile=str(env.ceph.conf)) as cluster, cluster.open_ioctx(env.pool) as ioctx:
            # With its metadata: what was once seen without is not looked at again.
            fast_create.create(ioctx, spec, name)
        wait_for(lambda name=name: name not in env.images(), "the marker to go")  # type: ignore[misc] # mypy can't type a lambda with a default


def test_image_goes_after_all_its_names_have_changed_and_its_copies_stay(env: VolumeEnv) -> None:
    name, image = provision(env, "data")
    path, old_pool = f"{env.pool}/{image}", env.pool
    env.ceph.rbd("cp", path, f"{env.pool}/backup")
    env.ceph.rbd("snap", "create", f"{path}@one")
    env.ceph.rbd("snap", "protect", f"{path}@one")
    env.ceph.rbd("clone", f"{path}@one", f"{env.pool}/flat")
    env.ceph.rbd("flatten", f"{env.pool}/flat")
    env.ceph.rbd("snap", "unprotect", f"{path}@one")
    env.ceph.rbd("deep", "cp", path, f"{env.pool}/deep")
    env.ceph.rbd("snap", "rm", f"{path}@one")
    bind_again(env, name, "data", "again")
    wait_for(lambda: env.metadata(image)["csi.storage.k8s.io/pvc/name"] == "again", "the image to name its new claim")
    env.ceph.rbd("rename", path, f"{env.pool}/renamed")
    # A copy of the same name, made by a user who assumes that the image is deleted.
    env.ceph.rbd("cp", f"{env.pool}/backup", path)
    new_pool = f"renamed-{secrets.token_hex(4)}"
    env.ceph.ceph("osd", "pool", "rename", old_pool, new_pool)
    env.pool = new_pool
    try:
        env.delete_claims("again")
        wait_for(lambda: not env.volumes(), "the volume to go")
        kept = {"backup", "flat", "deep", image}
        assert set(env.images()) == kept
        env.storage_class()
        settle(env)
        assert set(env.images()) == kept
        entries = json.loads(env.ceph.rbd("trash", "ls", new_pool, "--format", "json"))
        assert not [one for one in entries if not one["name"].startswith("marker-")]
    finally:
        env.ceph.ceph("osd", "pool", "rename", new_pool, old_pool)


def test_copies_and_clones_of_an_administrator_are_never_touched_when_the_image_was_parked(
    env: VolumeEnv, direct: Any
) -> None:
    """Of a claim's image, of its clone for another claim, and of the parked image; with all metadata, as made."""
    _, image = provision(env, "data")
    path = f"{env.pool}/{image}"
    with direct.open_ioctx(env.pool) as ioctx, rbd.Image(ioctx, image) as opened:
        opened.write(b"first", 0)
    env.apply(claim("clone", env.storage_class(), "8Mi", dataSource={"kind": "PersistentVolumeClaim", "name": "data"}))
    env.wait_bound(2)
    clone = env.volume_of("clone")["metadata"]["annotations"]["sutler.dev/image"].partition("/")[2]
    env.ceph.rbd("snap", "create", f"{path}@admin")
    for source, name in ((image, "of-image"), (clone, "of-clone")):
        env.ceph.rbd("cp", f"{env.pool}/{source}", f"{env.pool}/{name}-cp")
        # Flattened: Ceph attaches no copy to the snapshot of the clone's parent, which is deleted.
        env.ceph.rbd("deep", "cp", "--flatten", f"{env.pool}/{source}", f"{env.pool}/{name}-deep")
    for name in ("flat", "linked"):
        env.ceph.rbd("clone", "--rbd-default-clone-format", "2", f"{path}@admin", f"{env.pool}/{name}")
    env.ceph.rbd("flatten", f"{env.pool}/flat")
    env.delete_claims()
    wait_for(lambda: not env.volumes(), "the volumes to go")
    # The image is parked: copies of it have its mark, too.
    env.ceph.rbd("cp", path, f"{env.pool}/of-parked-cp")
    env.ceph.rbd("deep", "cp", path, f"{env.pool}/of-parked-deep")
    made = {"of-image-cp", "of-image-deep", "of-clone-cp", "of-clone-deep", "flat", "linked"}
    made |= {"of-parked-cp", "of-parked-deep"}
    before = {name: env.metadata(name) for name in made}
    assert "sutler.dev/parked" in before["of-parked-cp"]
    settle(env)
    assert set(env.images()) == {*made, image}
    env.ceph.rbd("snap", "rm", f"{path}@admin")
    settle(env, 1)
    assert set(env.images()) == {*made, image}, "a clone still needs the image"
    env.ceph.rbd("flatten", f"{env.pool}/linked")
    wait_for(lambda: image not in env.images(), "the parked image to go", 60)
    settle(env)
    assert set(env.images()) == made
    assert {name: env.metadata(name) for name in made} == before
    for name in made:
        with direct.open_ioctx(env.pool) as ioctx, rbd.Image(ioctx, name, read_only=True) as opened:
            assert bytes(opened.read(0, 5)) == b"first", name
    entries = json.loads(env.ceph.rbd("trash", "ls", env.pool, "--format", "json"))
    assert not [one for one in entries if not one["name"].startswith("marker-")]


def test_new_pool_of_the_old_name_is_another_one(env: VolumeEnv) -> None:
    name, image = provision(env, "data")
    gone = env.pool
    env.ceph.remove_pool(gone)
    env.ceph.pool(gone)
    env.ceph.rbd("create", f"{gone}/{image}", "--size", "8M")
    env.delete_claims("data")
    wait_for(lambda: name not in {one["metadata"]["name"] for one in env.volumes()}, "the volume to go")
    assert env.images() == [image]


def forget_ids(env: VolumeEnv, name: str, image: str) -> None:
    """As version 0.1.0 left both."""
    for key in ("sutler.dev/pool-id", "sutler.dev/image-id"):
        env.ceph.rbd("image-meta", "remove", f"{env.pool}/{image}", key)
    env.kubectl("annotate", "pv", name, "sutler.dev/pool-id-", "sutler.dev/image-id-")


def test_volume_of_version_0_1_0_learns_the_ids_of_its_image(env: VolumeEnv) -> None:
    plain, striped = provision(env, "plain"), provision(env, "striped", stripeUnit="4096", stripeCount="2")
    before = {name: env.get("pv", name)["metadata"]["annotations"] for name, _ in (plain, striped)}
    for name, image in (plain, striped):
        forget_ids(env, name, image)

    def knows(name: str, image: str) -> bool:
        ids = {key: before[name][key] for key in ("sutler.dev/pool-id", "sutler.dev/image-id")}
        return (
            ids.items() <= env.metadata(image).items()
            and env.get("pv", name)["metadata"]["annotations"] == before[name]
        )

    for name, image in (plain, striped):
        wait_for(lambda name=name, image=image: knows(name, image), "volume and image to know the ids")  # type: ignore[misc] # mypy can't type a lambda with a default


def test_no_id_is_recorded_where_two_images_may_be_the_volumes(env: VolumeEnv) -> None:
    name, image = provision(env, "striped", stripeUnit="4096", stripeCount="2")
    env.process.stop()
    forget_ids(env, name, image)
    env.ceph.rbd("cp", f"{env.pool}/{image}", f"{env.pool}/backup")
    env.process.start()
    env.wait_event(name, "ImageUnclear", "since both name the same owner", "default")
    env.delete_claims("striped")
    env.wait_event(name, "VolumeFailedDelete", "nothing proves which one is a copy", "default")
    assert set(env.images()) == {image, "backup"}
    env.ceph.rbd("image-meta", "remove", f"{env.pool}/backup", "sutler.dev/uid")
    wait_for(lambda: env.images() == ["backup"], "the volume's image to go")
    env.ceph.rbd("rm", f"{env.pool}/backup")


def test_image_in_the_trash_is_not_purged_while_its_volume_needs_it(env: VolumeEnv) -> None:
    name, image = provision(env, "data")
    env.ceph.rbd("cp", f"{env.pool}/{image}", f"{env.pool}/backup")
    env.ceph.rbd("rename", f"{env.pool}/{image}", f"{env.pool}/renamed")
    for thrown in ("renamed", "backup"):
        env.ceph.rbd("trash", "mv", f"{env.pool}/{thrown}")
    settle(env)
    entries = {one["name"] for one in json.loads(env.ceph.rbd("trash", "ls", env.pool, "--format", "json"))}
    assert {"renamed", "backup"} <= entries
    env.delete_claims("data")
    wait_for(lambda: name not in {one["metadata"]["name"] for one in env.volumes()}, "the volume to go")


def test_orphan_that_a_volume_made_by_hand_uses_is_kept(env: VolumeEnv) -> None:
    name, image = provision(env, "data")
    keep = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    env.kubectl("patch", "pv", name, "-p", json.dumps(keep))
    theirs: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"by-hand-{secrets.token_hex(4)}"},
        "spec": {
            "capacity": {"storage": "8Mi"},
            "accessModes": ["ReadOnlyMany"],
            "csi": {
                "driver": "rbd.csi.ceph.com",
                "volumeHandle": image,
                "volumeAttributes": {"pool": env.pool, "staticVolume": "true"},
            },
        },
    }
    env.apply(theirs)
    env.delete_claims("data")
    wait_for(lambda: env.get("pv", name)["status"]["phase"] == "Released", "the volume to be Released")
    env.kubectl("delete", "pv", name)
    try:
        settle(env)
        assert env.images() == [image]
    finally:
        env.kubectl("delete", "pv", theirs["metadata"]["name"])
    wait_for(lambda: not env.images(), "the orphan to go")


def test_image_that_a_user_moved_to_the_trash_without_a_delay_stays_there(env: VolumeEnv) -> None:
    name, image = provision(env, "data")
    env.kubectl("patch", "pv", name, "-p", json.dumps({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}))
    env.ceph.rbd("trash", "mv", f"{env.pool}/{image}")
    env.delete_claims("data")
    wait_for(lambda: env.get("pv", name)["status"]["phase"] == "Released", "the volume to be Released")
    env.kubectl("delete", "pv", name)
    settle(env)
    thrown = json.loads(env.ceph.rbd("trash", "ls", env.pool, "--format", "json"))
    assert image in {one["name"] for one in thrown}


def test_image_of_a_volume_that_was_copied_by_hand_stays_until_the_copy_is_gone(env: VolumeEnv) -> None:
    name, image = provision(env, "data")
    copy = env.get("pv", name)
    copy["metadata"] = {"name": f"copy-{secrets.token_hex(4)}", "annotations": copy["metadata"]["annotations"]}
    copy["spec"] |= {"claimRef": {"namespace": env.namespace, "name": "copy"}}
    copy["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    env.apply(copy)
    env.delete_claims("data")
    env.wait_event(name, "VolumeFailedDelete", f"{copy['metadata']['name']} has it, too", namespace="default")
    assert env.images() == [image]
    env.kubectl("delete", "pv", copy["metadata"]["name"])
    env.wait_gone()
