"""Claims on a real API server, images in a real Ceph."""

from itertools import count

from tests.cluster import quickest, wait_for
from tests.volumes.volume_env import VolumeEnv, claim


def test_claim_is_bound_within_three_seconds(env: VolumeEnv) -> None:
    cls, number = env.storage_class(), count(1)

    def one_more() -> None:
        made = next(number)
        env.apply(claim(f"data-{made}", cls))
        env.wait_bound(made)

    quickest(one_more, within=3)


def test_claim_is_bound_to_an_image_of_exactly_its_size(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(claim("data", cls, "1.5Gi"))
    (bound,) = env.wait_bound()
    volume = env.volume_of("data")
    (image,) = env.images()
    assert env.image(image)["size"] == 1610612736
    assert env.image(image)["features"] == ["layering"]
    assert bound["status"]["capacity"]["storage"] == volume["spec"]["capacity"]["storage"] == "1536Mi"
    uid = bound["metadata"]["uid"]
    assert volume["metadata"]["name"] == f"pvc-{uid}"
    assert image == f"{env.namespace}-data-{uid}"
    assert env.metadata(image)["csi.storage.k8s.io/pvc/namespace"] == env.namespace
    assert env.metadata(image)["sutler.dev/uid"] == uid
    env.wait_event("data", "ProvisioningSucceeded", image)


def test_twenty_claims_at_once_are_bound_and_their_deletion_leaves_nothing(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(*(claim(f"data-{n}", cls, f"{n + 1}Mi") for n in range(20)))
    bound = env.wait_bound(20)
    assert len(env.images()) == len({c["spec"]["volumeName"] for c in bound}) == 20
    sizes = {env.image(f"{env.namespace}-data-{n}-{_uid(bound, f'data-{n}')}")["size"] for n in range(20)}
    assert sizes == {(n + 1) * 1024**2 for n in range(20)}
    env.delete_claims()
    env.wait_gone()


def _uid(claims: list[dict[str, dict[str, str]]], name: str) -> str:
    return next(c["metadata"]["uid"] for c in claims if c["metadata"]["name"] == name)


def test_annotated_class_of_any_provisioner_is_served(env: VolumeEnv) -> None:
    cls = env.storage_class(annotations={"sutler.dev/provision": "rbd"}, provisioner="kubernetes.io/no-provisioner")
    other = env.storage_class(provisioner="example.com/other")
    env.apply(claim("served", cls), claim("left", other))
    wait_for(lambda: env.get("pvc", "served")["status"]["phase"] == "Bound", "the claim to be Bound")
    env.delete_claims("served")
    wait_for(lambda: not env.images(), "its image to go")
    assert env.get("pvc", "left")["status"]["phase"] == "Pending"


def released_volume(env: VolumeEnv) -> str:
    """The name of a volume with reclaim policy Retain whose claim is deleted."""
    cls = env.storage_class(reclaimPolicy="Retain")
    env.apply(claim("data", cls))
    env.wait_bound()
    volume = str(env.volume_of("data")["metadata"]["name"])
    env.delete_claims()
    wait_for(lambda: env.get("pv", volume)["status"]["phase"] == "Released", "the volume to be Released")
    return volume


def test_retained_volume_keeps_its_image(env: VolumeEnv) -> None:
    volume = released_volume(env)
    (image,) = env.images()
    # A volume deleted by hand must not hang on our finalizer, and its image stays.
    env.kubectl("delete", "pv", volume, "--timeout=20s")
    assert env.images() == [image]
    env.ceph.rbd("rm", f"{env.pool}/{image}")


def test_released_volume_whose_policy_becomes_delete_goes_with_its_image(env: VolumeEnv) -> None:
    volume = released_volume(env)
    env.kubectl("patch", "pv", volume, "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}')
    env.wait_gone()


def test_claim_that_waits_for_its_first_pod_gets_its_image_when_a_node_is_selected(env: VolumeEnv) -> None:
    cls = env.storage_class(volumeBindingMode="WaitForFirstConsumer")
    first = env.storage_class()
    env.apply(claim("waits", cls))
    env.apply(claim("first", first))
    wait_for(lambda: env.get("pvc", "first")["status"]["phase"] == "Bound", "a later claim to be Bound")
    assert len(env.images()) == 1
    env.kubectl("annotate", "pvc", "waits", "volume.kubernetes.io/selected-node=node-1")
    env.wait_bound(2)


def test_deletion_needs_neither_class_nor_pool(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(claim("data", cls))
    env.wait_bound()
    env.control_plane.kubectl("delete", "storageclass", cls)
    env.ceph.remove_pool(env.pool)
    env.delete_claims()
    wait_for(lambda: not env.volumes(), "the volume to be gone")
    env.ceph.pool(env.pool)
    env.classes.remove(cls)
