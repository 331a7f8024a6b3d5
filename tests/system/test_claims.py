"""Claims created with plain kubectl are Bound to images of exactly their size, and take them along when they go."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Ceph, ControlPlane, wait_for
from tests.cluster.installation import Installation
from tests.system.conftest import apply

pytestmark = pytest.mark.usefixtures("sutler")


@pytest.fixture
def storage_class(control_plane: ControlPlane, pool: str) -> Iterator[str]:
    """A class of its own pool, so that `rbd ls` shows this test's images alone."""
    parameters = {
        "clusterID": "ceph",
        "pool": pool,
        "csi.storage.k8s.io/node-stage-secret-name": "rbd-node",
        "csi.storage.k8s.io/node-stage-secret-namespace": "sutler-system",
    }
    manifest = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": pool},
        "provisioner": "rbd.sutler.dev",
        "parameters": parameters,
    }
    apply(control_plane, manifest)
    yield pool
    control_plane.kubectl("delete", "storageclass", pool)


def claim(name: str, storage_class: str, size: str, *modes: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": storage_class,
            "accessModes": list(modes) or ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        },
    }


def create(control_plane: ControlPlane, namespace: str, *claims: dict[str, Any]) -> None:
    body = {"apiVersion": "v1", "kind": "List", "items": list(claims)}
    control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(body))


def bound(control_plane: ControlPlane, namespace: str) -> list[Any]:
    claims = control_plane.kubectl_json("get", "pvc", "-n", namespace)["items"]
    return [each for each in claims if each["status"]["phase"] == "Bound"]


def test_claim_is_bound_to_an_image_of_exactly_its_size(
    control_plane: ControlPlane, ceph: Ceph, storage_class: str, namespace: str
) -> None:
    create(control_plane, namespace, claim("data", storage_class, "1.5Gi"))
    (data,) = wait_for(lambda: bound(control_plane, namespace), "the claim to be Bound")
    (image,) = json.loads(ceph.rbd("ls", "--format=json", storage_class))
    assert json.loads(ceph.rbd("info", "--format=json", f"{storage_class}/{image}"))["size"] == 1_610_612_736
    volume = control_plane.kubectl_json("get", "pv", data["spec"]["volumeName"])
    assert volume["spec"]["csi"]["volumeHandle"] == image
    assert volume["spec"]["capacity"]["storage"] == "1536Mi"
    _delete_all(control_plane, ceph, storage_class, namespace)


@pytest.mark.long
def test_twenty_claims_at_once_are_bound_and_leave_nothing_behind(
    control_plane: ControlPlane, ceph: Ceph, storage_class: str, namespace: str
) -> None:
    create(control_plane, namespace, *(claim(f"data-{n}", storage_class, "64Mi") for n in range(20)))
    wait_for(lambda: len(bound(control_plane, namespace)) == 20, "20 claims to be Bound")
    assert len(json.loads(ceph.rbd("ls", "--format=json", storage_class))) == 20
    _delete_all(control_plane, ceph, storage_class, namespace)


@pytest.mark.long
def test_a_kill_in_the_middle_doubles_and_loses_nothing(
    control_plane: ControlPlane, ceph: Ceph, sutler: Installation, storage_class: str, namespace: str
) -> None:
    create(control_plane, namespace, *(claim(f"data-{n}", storage_class, "64Mi") for n in range(20)))
    wait_for(lambda: ceph.rbd("ls", storage_class).strip(), "the first image")
    sutler.volumes.kill9()
    sutler.volumes.restart()
    wait_for(lambda: len(bound(control_plane, namespace)) == 20, "20 claims to be Bound")
    images = json.loads(ceph.rbd("ls", "--format=json", storage_class))
    handles = [each["spec"]["csi"]["volumeHandle"] for each in _volumes(control_plane, storage_class)]
    assert sorted(images) == sorted(handles)
    _delete_all(control_plane, ceph, storage_class, namespace)


def test_an_impossible_claim_gets_one_warning_that_says_why(
    control_plane: ControlPlane, ceph: Ceph, storage_class: str, namespace: str
) -> None:
    create(control_plane, namespace, claim("shared", storage_class, "64Mi", "ReadWriteMany"))
    message = wait_for(lambda: _warning(control_plane, namespace, "shared"), "a Warning on the claim")
    assert "ReadWriteMany" in message
    assert ceph.rbd("ls", storage_class) == ""


def test_a_claim_made_while_ceph_is_away_says_so_and_heals(
    control_plane: ControlPlane, ceph: Ceph, storage_class: str, namespace: str
) -> None:
    ceph.osd.freeze()
    try:
        create(control_plane, namespace, claim("patient", storage_class, "64Mi"))
        message = wait_for(lambda: _warning(control_plane, namespace, "patient"), "a Warning on the claim")
    finally:
        ceph.osd.resume()
    assert "Traceback" not in message
    wait_for(lambda: bound(control_plane, namespace), "the claim to be Bound", 90)
    _delete_all(control_plane, ceph, storage_class, namespace)


def _volumes(control_plane: ControlPlane, storage_class: str) -> list[Any]:
    volumes = control_plane.kubectl_json("get", "pv")["items"]
    return [volume for volume in volumes if volume["spec"]["storageClassName"] == storage_class]


def _warning(control_plane: ControlPlane, namespace: str, claim: str) -> str | None:
    fields = f"involvedObject.name={claim},reason=ProvisioningFailed,type=Warning"
    events = control_plane.kubectl_json("get", "events", "-n", namespace, "--field-selector", fields)["items"]
    return str(events[0]["message"]) if events else None


def _delete_all(control_plane: ControlPlane, ceph: Ceph, storage_class: str, namespace: str) -> None:
    control_plane.kubectl("delete", "pvc", "--all", "-n", namespace)
    wait_for(lambda: not _volumes(control_plane, storage_class), "the volumes to go")
    assert ceph.rbd("ls", storage_class) == ""
    assert ceph.rbd("trash", "ls", storage_class) == ""
