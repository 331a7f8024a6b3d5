"""Clones of a class with flattenPolicy: async, with a real Ceph."""

from typing import Any

import pytest

from tests.cluster import wait_for
from tests.volumes.snapshot_env import SnapshotEnv
from tests.volumes.test_restore import of_claim
from tests.volumes.volume_env import VolumeEnv, claim

POLICY = "sutler.dev/flatten-policy"
MANY_OBJECTS = {"flattenPolicy": "async", "objectSize": "4Ki"}
"""A clone of 16 MiB has 4,096 objects, which takes seconds."""


@pytest.fixture
def snapshots(env: VolumeEnv, direct: Any) -> SnapshotEnv:
    """Without the kinds of snapshots, too, claims can be cloned."""
    return SnapshotEnv(env, direct)


def is_flattened(env: VolumeEnv, name: str) -> bool:
    return POLICY not in env.volume_of(name)["metadata"]["annotations"]


def is_flattening(env: VolumeEnv) -> bool:
    return env.process.metrics().get("sutler_flattening_images") == 1


def clone_of_data(snapshots: SnapshotEnv, parameters: dict[str, str]) -> None:
    env = snapshots.env
    objects = {key: value for key, value in parameters.items() if key == "objectSize"}
    env.apply(claim("data", env.storage_class(objects), "16Mi"))
    env.wait_bound()
    snapshots.write("data", "first")
    env.apply(claim("clone", env.storage_class(parameters), "16Mi", **of_claim("data")))
    env.wait_bound(2)


def test_clone_is_flattened_and_its_parked_parent_goes(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    clone_of_data(snapshots, {"flattenPolicy": "async"})
    image, volume = snapshots.image_of("clone"), env.volume_of("clone")["metadata"]["name"]
    env.delete_claims("data")
    wait_for(lambda: env.images() == [image], "the parent to be gone", 60)
    wait_for(lambda: is_flattened(env, "clone"), "the request to be gone")
    assert snapshots.read("clone") == "first"
    assert "parent" not in env.image(image)
    env.wait_event(volume, "ImageFlattened", image, namespace="default")
    assert not is_flattening(env)
    env.delete_claims()
    env.wait_gone()


def test_clone_without_the_policy_is_flattened_when_its_volume_requests_it(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    clone_of_data(snapshots, {})
    image, volume = snapshots.image_of("clone"), env.volume_of("clone")["metadata"]["name"]
    assert "parent" in env.image(image)
    env.kubectl("annotate", "pv", volume, f"{POLICY}=async")
    wait_for(lambda: is_flattened(env, "clone"), "the clone to be flattened")
    assert "parent" not in env.image(image)
    env.delete_claims()
    env.wait_gone()


@pytest.mark.long
def test_killed_controller_continues_to_flatten(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    clone_of_data(snapshots, MANY_OBJECTS)
    wait_for(lambda: is_flattening(env), "the flattening to begin")
    env.process.kill9()
    assert not is_flattened(env, "clone"), "it was too fast to be killed"
    env.process.start()
    wait_for(lambda: is_flattened(env, "clone"), "the clone to be flattened", 120)
    assert snapshots.read("clone") == "first"
    env.delete_claims()
    env.wait_gone(120)


def test_claim_that_is_deleted_while_its_image_is_flattened_goes_at_once(snapshots: SnapshotEnv) -> None:
    env = snapshots.env
    clone_of_data(snapshots, MANY_OBJECTS)
    volume = env.volume_of("clone")["metadata"]["name"]
    wait_for(lambda: is_flattening(env), "the flattening to begin")
    assert not is_flattened(env, "clone")
    env.delete_claims()
    env.wait_gone(60)
    about = f"involvedObject.name={volume}"
    events = env.control_plane.kubectl_json("get", "events", "-n", "default", "--field-selector", about)["items"]
    unexpected = {"VolumeFailedDelete", "FlattenFailed", "ImageFlattened"}
    assert [one["message"] for one in events if one["reason"] in unexpected] == []
