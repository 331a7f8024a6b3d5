"""Claims on a real API server, images in a real Ceph."""

from itertools import count

from tests.cluster import quickest, wait_for
from tests.volumes.world import World, claim


def test_claim_is_bound_within_three_seconds(world: World) -> None:
    cls, number = world.storage_class(), count(1)

    def one_more() -> None:
        made = next(number)
        world.apply(claim(f"data-{made}", cls))
        world.wait_bound(made)

    quickest(one_more, within=3)


def test_claim_is_bound_to_an_image_of_exactly_its_size(world: World) -> None:
    cls = world.storage_class()
    world.apply(claim("data", cls, "1.5Gi"))
    (bound,) = world.wait_bound()
    volume = world.volume_of("data")
    (image,) = world.images()
    assert world.image(image)["size"] == 1610612736
    assert world.image(image)["features"] == ["layering"]
    assert bound["status"]["capacity"]["storage"] == volume["spec"]["capacity"]["storage"] == "1536Mi"
    uid = bound["metadata"]["uid"]
    assert volume["metadata"]["name"] == f"pvc-{uid}"
    assert image == f"{world.namespace}-data-{uid}"
    assert world.metadata(image)["csi.storage.k8s.io/pvc/namespace"] == world.namespace
    assert world.metadata(image)["sutler.dev/uid"] == uid
    world.wait_event("data", "ProvisioningSucceeded", image)


def test_twenty_claims_at_once_are_bound_and_their_deletion_leaves_nothing(world: World) -> None:
    cls = world.storage_class()
    world.apply(*(claim(f"data-{n}", cls, f"{n + 1}Mi") for n in range(20)))
    bound = world.wait_bound(20)
    assert len(world.images()) == len({c["spec"]["volumeName"] for c in bound}) == 20
    sizes = {world.image(f"{world.namespace}-data-{n}-{_uid(bound, f'data-{n}')}")["size"] for n in range(20)}
    assert sizes == {(n + 1) * 1024**2 for n in range(20)}
    world.delete_claims()
    world.wait_gone()


def _uid(claims: list[dict[str, dict[str, str]]], name: str) -> str:
    return next(c["metadata"]["uid"] for c in claims if c["metadata"]["name"] == name)


def test_annotated_class_of_any_provisioner_is_served(world: World) -> None:
    cls = world.storage_class(annotations={"sutler.dev/provision": "rbd"}, provisioner="kubernetes.io/no-provisioner")
    other = world.storage_class(provisioner="example.com/other")
    world.apply(claim("served", cls), claim("left", other))
    wait_for(lambda: world.get("pvc", "served")["status"]["phase"] == "Bound", "the claim to be Bound")
    world.delete_claims("served")
    wait_for(lambda: not world.images(), "its image to go")
    assert world.get("pvc", "left")["status"]["phase"] == "Pending"


def test_retained_volume_keeps_its_image(world: World) -> None:
    cls = world.storage_class(reclaimPolicy="Retain")
    world.apply(claim("data", cls))
    world.wait_bound()
    volume = world.volume_of("data")["metadata"]["name"]
    world.delete_claims()
    wait_for(lambda: world.get("pv", volume)["status"]["phase"] == "Released", "the volume to be Released")
    (image,) = world.images()
    # A volume deleted by hand must not hang on our finalizer, and its image stays.
    world.kubectl("delete", "pv", volume, "--timeout=20s")
    assert world.images() == [image]
    world.ceph.rbd("rm", f"{world.pool}/{image}")


def test_released_volume_whose_policy_becomes_delete_goes_with_its_image(world: World) -> None:
    cls = world.storage_class(reclaimPolicy="Retain")
    world.apply(claim("data", cls))
    world.wait_bound()
    volume = world.volume_of("data")["metadata"]["name"]
    world.delete_claims()
    wait_for(lambda: world.get("pv", volume)["status"]["phase"] == "Released", "the volume to be Released")
    world.kubectl("patch", "pv", volume, "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}')
    world.wait_gone()


def test_claim_that_waits_for_its_first_pod_gets_its_image_when_a_node_is_selected(world: World) -> None:
    cls = world.storage_class(volumeBindingMode="WaitForFirstConsumer")
    first = world.storage_class()
    world.apply(claim("waits", cls))
    world.apply(claim("first", first))
    wait_for(lambda: world.get("pvc", "first")["status"]["phase"] == "Bound", "a later claim to be Bound")
    assert len(world.images()) == 1
    world.kubectl("annotate", "pvc", "waits", "volume.kubernetes.io/selected-node=node-1")
    world.wait_bound(2)


def test_deletion_needs_neither_class_nor_pool(world: World) -> None:
    cls = world.storage_class()
    world.apply(claim("data", cls))
    world.wait_bound()
    world.control_plane.kubectl("delete", "storageclass", cls)
    world.ceph.remove_pool(world.pool)
    world.delete_claims()
    wait_for(lambda: not world.volumes(), "the volume to be gone")
    world.ceph.pool(world.pool)
    world.classes.remove(cls)
