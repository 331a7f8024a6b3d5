"""Limits of StorageClasses, in the images of created, cloned and adopted volumes."""

from tests.cluster import ControlPlane
from tests.volumes.attributes_env import KEY, limits
from tests.volumes.command import Sutler
from tests.volumes.volume_env import VolumeEnv, claim


def test_images_have_the_limits_of_their_class(env: VolumeEnv, control_plane: ControlPlane) -> None:
    cls = env.storage_class({"maxReadIops": "1000", "maxWriteIops": "2k", "maxReadBps": "50Mi", "maxWriteBps": "1e8"})
    other = env.storage_class({"maxReadIops": "7"})
    env.apply(claim("data", cls))
    env.wait_bound()
    env.apply(claim("copy", other, dataSource={"kind": "PersistentVolumeClaim", "name": "data"}))
    env.wait_bound(2)
    wanted = {"read_iops": "1000", "write_iops": "2000", "read_bps": "52428800", "write_bps": "100000000"}
    assert limits(env, "data") == wanted
    # A clone has the limits of its own class, and none of its source's.
    assert limits(env, "copy") == {"read_iops": "7"}
    shown = Sutler(control_plane.kubeconfig)("volumes", "show", f"{env.namespace}/data").out
    assert "Limits:         maxReadIops=1000, maxWriteIops=2000, maxReadBps=52428800, maxWriteBps=100000000" in shown


def test_adopted_image_gets_the_limits_of_its_class_alone(env: VolumeEnv, control_plane: ControlPlane) -> None:
    cls = env.storage_class({"maxReadIops": "7"})
    env.ceph.rbd("create", f"{env.pool}/old", "--size", "1G")
    env.ceph.rbd("image-meta", "set", f"{env.pool}/old", f"{KEY}write_bps", "5")
    env.ceph.rbd("image-meta", "set", f"{env.pool}/old", "mine", "kept")
    ran = Sutler(control_plane.kubeconfig)(
        "volumes", "adopt", f"{env.pool}/old", "--claim", f"{env.namespace}/data", "--class", cls
    )
    assert ran.status == 0, ran.err
    assert limits(env, "data") == {"read_iops": "7"}
    assert env.metadata("old")["mine"] == "kept"


def test_impossible_limit_is_named_on_class_and_claim(env: VolumeEnv) -> None:
    cls = env.storage_class({"maxReadBps": "fast"})
    env.apply(claim("data", cls))
    for name, reason, namespace in ((cls, "InvalidParameters", "default"), ("data", "ProvisioningFailed", None)):
        event = env.wait_event(name, reason, "maxReadBps: 'fast' is not a whole number greater than 0", namespace)
        assert "such as 1000 or 50Mi" in event["message"]
    assert env.images() == []
