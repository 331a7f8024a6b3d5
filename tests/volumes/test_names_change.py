"""What renaming, copying and binding again make of a volume and its image, by the means of their users."""

import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rados

from provisioner.ceph import fast_create
from provisioner.ceph.model import ImageSpec
from sutler.volumes.identity import image_id
from tests.cluster import SutlerProcess, wait_for
from tests.volumes.world import World, claim


@pytest.fixture(scope="module")
def volumes(start_volumes: Callable[..., SutlerProcess]) -> Iterator[SutlerProcess]:
    """Told to throw away what nobody needs at once."""
    started = start_volumes("--orphans=trash", "--orphan-grace=0.1")
    started.start()
    yield started
    started.stop()


def provision(world: World, name: str, **parameters: str) -> tuple[str, str]:
    """The names of a claim's volume and image."""
    world.apply(claim(name, world.storage_class(parameters), "8Mi"))
    wait_for(lambda: world.get("pvc", name)["status"]["phase"] == "Bound", "the claim to be Bound")
    made = world.volume_of(name)
    return made["metadata"]["name"], made["metadata"]["annotations"]["sutler.dev/image"].partition("/")[2]


def bind_again(world: World, volume_name: str, old: str, new: str) -> None:
    """As guides have it: Retain, delete the claim, clear the claimRef, bind a new claim, Delete."""
    keep, end = ({"spec": {"persistentVolumeReclaimPolicy": policy}} for policy in ("Retain", "Delete"))
    world.kubectl("patch", "pv", volume_name, "-p", json.dumps(keep))
    world.delete_claims(old)
    wait_for(lambda: world.get("pv", volume_name)["status"]["phase"] == "Released", "the volume to be Released")
    clear = [{"op": "remove", "path": "/spec/claimRef"}]
    world.kubectl("patch", "pv", volume_name, "--type=json", "-p", json.dumps(clear))
    cls = world.get("pv", volume_name)["spec"]["storageClassName"]
    world.apply(claim(new, cls, "8Mi", volumeName=volume_name))
    wait_for(lambda: world.get("pvc", new)["status"]["phase"] == "Bound", "the new claim to be Bound")
    world.kubectl("patch", "pv", volume_name, "-p", json.dumps(end))


def settle(world: World, rounds: int = 2) -> None:
    """Until the images have been compared as often again: another orphan has come and gone."""
    kubernetes = world.get("namespace", "kube-system")["metadata"]["uid"]
    for _ in range(rounds):
        uid = str(uuid.uuid4())
        name, said = f"marker-{uid}", {"sutler.dev/uid": uid, "sutler.dev/kubernetes": kubernetes}
        spec = ImageSpec(name, 1 << 20, metadata=said, id=image_id(kubernetes, name))
        with rados.Rados(conffile=str(world.ceph.conf)) as cluster, cluster.open_ioctx(world.pool) as ioctx:
            # With its metadata: what was once seen without is not looked at again.
            fast_create.create(ioctx, spec, name)
        wait_for(lambda name=name: name not in world.images(), "the marker to go")  # type: ignore[misc] # mypy can't type a lambda with a default


def test_image_goes_after_all_its_names_have_changed_and_its_copies_stay(world: World) -> None:
    name, image = provision(world, "data")
    path, old_pool = f"{world.pool}/{image}", world.pool
    world.ceph.rbd("cp", path, f"{world.pool}/backup")
    world.ceph.rbd("snap", "create", f"{path}@one")
    world.ceph.rbd("snap", "protect", f"{path}@one")
    world.ceph.rbd("clone", f"{path}@one", f"{world.pool}/flat")
    world.ceph.rbd("flatten", f"{world.pool}/flat")
    world.ceph.rbd("snap", "unprotect", f"{path}@one")
    world.ceph.rbd("deep", "cp", path, f"{world.pool}/deep")
    world.ceph.rbd("snap", "rm", f"{path}@one")
    bind_again(world, name, "data", "again")
    wait_for(lambda: world.metadata(image)["csi.storage.k8s.io/pvc/name"] == "again", "the image to name its new claim")
    world.ceph.rbd("rename", path, f"{world.pool}/renamed")
    # By the same name as the copy of somebody who thinks that it is gone.
    world.ceph.rbd("cp", f"{world.pool}/backup", path)
    new_pool = f"renamed-{secrets.token_hex(4)}"
    world.ceph.ceph("osd", "pool", "rename", old_pool, new_pool)
    world.pool = new_pool
    try:
        world.delete_claims("again")
        wait_for(lambda: not world.volumes(), "the volume to go")
        kept = {"backup", "flat", "deep", image}
        assert set(world.images()) == kept
        world.storage_class()
        settle(world)
        assert set(world.images()) == kept
        entries = json.loads(world.ceph.rbd("trash", "ls", new_pool, "--format", "json"))
        assert not [one for one in entries if not one["name"].startswith("marker-")]
    finally:
        world.ceph.ceph("osd", "pool", "rename", new_pool, old_pool)


def test_new_pool_of_the_old_name_is_another_one(world: World) -> None:
    name, image = provision(world, "data")
    gone = world.pool
    world.ceph.remove_pool(gone)
    world.ceph.pool(gone)
    world.ceph.rbd("create", f"{gone}/{image}", "--size", "8M")
    world.delete_claims("data")
    wait_for(lambda: name not in {one["metadata"]["name"] for one in world.volumes()}, "the volume to go")
    assert world.images() == [image]


def forget_ids(world: World, name: str, image: str) -> None:
    """As version 0.1.0 left both."""
    for key in ("sutler.dev/pool-id", "sutler.dev/image-id"):
        world.ceph.rbd("image-meta", "remove", f"{world.pool}/{image}", key)
    world.kubectl("annotate", "pv", name, "sutler.dev/pool-id-", "sutler.dev/image-id-")


def test_volume_of_version_0_1_0_learns_the_ids_of_its_image(world: World) -> None:
    plain, striped = provision(world, "plain"), provision(world, "striped", stripeUnit="4096", stripeCount="2")
    before = {name: world.get("pv", name)["metadata"]["annotations"] for name, _ in (plain, striped)}
    for name, image in (plain, striped):
        forget_ids(world, name, image)

    def knows(name: str, image: str) -> bool:
        ids = {key: before[name][key] for key in ("sutler.dev/pool-id", "sutler.dev/image-id")}
        return (
            ids.items() <= world.metadata(image).items()
            and world.get("pv", name)["metadata"]["annotations"] == before[name]
        )

    for name, image in (plain, striped):
        wait_for(lambda name=name, image=image: knows(name, image), "volume and image to know the ids")  # type: ignore[misc] # mypy can't type a lambda with a default


def test_nothing_is_learned_where_two_images_may_be_the_volumes(world: World) -> None:
    name, image = provision(world, "striped", stripeUnit="4096", stripeCount="2")
    world.process.stop()
    forget_ids(world, name, image)
    world.ceph.rbd("cp", f"{world.pool}/{image}", f"{world.pool}/backup")
    world.process.start()
    world.wait_event(name, "ImageUnclear", "since both name the same owner", "default")
    world.delete_claims("striped")
    world.wait_event(name, "VolumeFailedDelete", "nothing proves which one is a copy", "default")
    assert set(world.images()) == {image, "backup"}
    world.ceph.rbd("image-meta", "remove", f"{world.pool}/backup", "sutler.dev/uid")
    wait_for(lambda: world.images() == ["backup"], "the volume's image to go")
    world.ceph.rbd("rm", f"{world.pool}/backup")


def test_what_an_administrator_throws_away_is_not_purged_while_its_volume_needs_it(world: World) -> None:
    name, image = provision(world, "data")
    world.ceph.rbd("cp", f"{world.pool}/{image}", f"{world.pool}/backup")
    world.ceph.rbd("rename", f"{world.pool}/{image}", f"{world.pool}/renamed")
    for thrown in ("renamed", "backup"):
        world.ceph.rbd("trash", "mv", f"{world.pool}/{thrown}")
    settle(world)
    entries = {one["name"] for one in json.loads(world.ceph.rbd("trash", "ls", world.pool, "--format", "json"))}
    assert {"renamed", "backup"} <= entries
    world.delete_claims("data")
    wait_for(lambda: name not in {one["metadata"]["name"] for one in world.volumes()}, "the volume to go")


def test_orphan_that_a_volume_made_by_hand_uses_is_kept(world: World) -> None:
    name, image = provision(world, "data")
    keep = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    world.kubectl("patch", "pv", name, "-p", json.dumps(keep))
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
                "volumeAttributes": {"pool": world.pool, "staticVolume": "true"},
            },
        },
    }
    world.apply(theirs)
    world.delete_claims("data")
    wait_for(lambda: world.get("pv", name)["status"]["phase"] == "Released", "the volume to be Released")
    world.kubectl("delete", "pv", name)
    try:
        settle(world)
        assert world.images() == [image]
    finally:
        world.kubectl("delete", "pv", theirs["metadata"]["name"])
    wait_for(lambda: not world.images(), "the orphan to go")


def test_image_that_people_throw_away_without_a_time_stays_in_the_trash(world: World) -> None:
    name, image = provision(world, "data")
    world.kubectl("patch", "pv", name, "-p", json.dumps({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}))
    world.ceph.rbd("trash", "mv", f"{world.pool}/{image}")
    world.delete_claims("data")
    wait_for(lambda: world.get("pv", name)["status"]["phase"] == "Released", "the volume to be Released")
    world.kubectl("delete", "pv", name)
    settle(world)
    thrown = json.loads(world.ceph.rbd("trash", "ls", world.pool, "--format", "json"))
    assert image in {one["name"] for one in thrown}


def test_image_of_a_volume_that_was_copied_by_hand_stays_until_the_copy_is_gone(world: World) -> None:
    name, image = provision(world, "data")
    copy = world.get("pv", name)
    copy["metadata"] = {"name": f"copy-{secrets.token_hex(4)}", "annotations": copy["metadata"]["annotations"]}
    copy["spec"] |= {"claimRef": {"namespace": world.namespace, "name": "copy"}}
    copy["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    world.apply(copy)
    world.delete_claims("data")
    world.wait_event(name, "VolumeFailedDelete", f"{copy['metadata']['name']} has it, too", namespace="default")
    assert world.images() == [image]
    world.kubectl("delete", "pv", copy["metadata"]["name"])
    world.wait_gone()
