"""What tests of limits and of VolumeAttributesClasses share."""

import json
from typing import Any

from tests.volumes.volume_env import Json, VolumeEnv, claim

KEY = ".rbd.csi.ceph.com/cgroup_qos_max_"
LATER = "later"
"""The name of a class that no fixture creates."""


def attributes_class(name: str, driver: str = "rbd.sutler.dev", **parameters: str) -> Json:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttributesClass",
        "metadata": {"name": name},
        "driverName": driver,
        "parameters": parameters,
    }


CLASSES = [
    attributes_class("gold", maxReadIops="1000", maxReadBps="50Mi"),
    attributes_class("silver", maxReadIops="500"),
    attributes_class("free", maxReadIops="max", maxWriteIops="max"),
    attributes_class("foreign", "rbd.csi.ceph.com", maxReadIops="5"),
    attributes_class("unknown", iops="5"),
]


def limits(env: VolumeEnv, name: str) -> dict[str, str]:
    """The limits in the metadata of the claim's image, as rbd shows them."""
    image = env.volume_of(name)["metadata"]["annotations"]["sutler.dev/image"].rpartition("/")[2]
    return {key.removeprefix(KEY): value for key, value in env.metadata(image).items() if key.startswith(KEY)}


def with_attributes(name: str, cls: str, attributes: str | None, **spec: Any) -> Json:
    return claim(name, cls, volumeAttributesClassName=attributes, **spec)


def request(env: VolumeEnv, attributes: str | None, name: str = "data") -> None:
    patch = json.dumps({"spec": {"volumeAttributesClassName": attributes}})
    env.kubectl("patch", "pvc", name, "--type=merge", "-p", patch)
