"""What newer servers let a claim ask for, and Sutler does not serve: attributes of its volume."""

from collections.abc import Iterator

import pytest

from tests.cluster import ControlPlane, wait_for
from tests.volumes.volume_env import VolumeEnv, claim

pytestmark = pytest.mark.needs(kubernetes="1.34", why="older servers know no VolumeAttributesClass")

ASKED = {"volumeAttributesClassName": "gold"}


@pytest.fixture(scope="module", autouse=True)
def gold(control_plane: ControlPlane) -> Iterator[None]:
    wanted = """\
apiVersion: storage.k8s.io/v1
kind: VolumeAttributesClass
metadata: {name: gold}
driverName: rbd.csi.ceph.com
parameters: {iops: "100"}
"""
    control_plane.kubectl("apply", "-f", "-", input=wanted)
    yield
    control_plane.kubectl("delete", "volumeattributesclass", "gold")


def test_claim_that_asks_for_attributes_is_refused_and_served_without(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(claim("data", cls, **ASKED))
    event = env.wait_event("data", "ProvisioningFailed", "does not serve volumeAttributesClassName gold")
    assert event["type"] == "Warning"
    assert "remove it" in event["message"]
    assert env.images() == []
    assert env.volumes() == []
    env.delete_claims("data")
    wait_for(lambda: not env.claims(), "the claim to be gone")
    env.apply(claim("data", cls))
    env.wait_bound()


def test_claim_that_asks_for_attributes_later_is_warned_and_keeps_its_volume(env: VolumeEnv) -> None:
    cls = env.storage_class(allowVolumeExpansion=True)
    env.apply(claim("data", cls, volumeMode="Block"))
    env.wait_bound()
    env.kubectl("patch", "pvc", "data", "-p", '{"spec":{"volumeAttributesClassName":"gold"}}')
    event = env.wait_event("data", "VolumeModifyFailed", "does not serve volumeAttributesClassName gold")
    assert event["type"] == "Warning"
    # All else of the claim is served as before.
    env.kubectl("patch", "pvc", "data", "-p", '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}')
    wait_for(lambda: env.get("pvc", "data")["status"]["capacity"]["storage"] == "2Gi", "the claim to have grown")
    env.kubectl("patch", "pvc", "data", "-p", '{"spec":{"volumeAttributesClassName":null}}')
    assert env.get("pvc", "data")["status"]["phase"] == "Bound"


@pytest.mark.needs(kubernetes="1.37", why="older servers do not say whether a claim is in use")
def test_growth_keeps_what_kubernetes_says_of_the_claim(env: VolumeEnv) -> None:
    def conditions() -> dict[str, str]:
        listed = env.get("pvc", "data")["status"].get("conditions") or []
        return {condition["type"]: condition["status"] for condition in listed}

    cls = env.storage_class(allowVolumeExpansion=True)
    env.apply(claim("data", cls))
    env.wait_bound()
    wait_for(lambda: conditions() == {"Unused": "True"}, "the claim to be called unused")
    env.kubectl("patch", "pvc", "data", "-p", '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}')
    wait_for(lambda: "FileSystemResizePending" in conditions(), "the image to have grown")
    assert conditions() == {"Unused": "True", "FileSystemResizePending": "True"}
