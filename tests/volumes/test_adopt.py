"""Images that are there become claims' volumes, if a storage admin asks for it; and nobody's image is ever lost."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sutler.volumes.adoption_request import AdoptionRequest, render, request_name
from tests.cluster import ControlPlane, wait_for
from tests.volumes.command import Sutler
from tests.volumes.world import World, claim

MIB = 1024**2


@pytest.fixture
def sutler(control_plane: ControlPlane) -> Sutler:
    """As a storage admin, without the REST API."""
    return Sutler(control_plane.kubeconfig)


@pytest.fixture
def cls(world: World) -> str:
    return world.storage_class(allowVolumeExpansion=True)


@pytest.fixture
def requests(world: World) -> Iterator[World]:
    """Takes back what requests a test leaves."""
    yield world
    for name in [pv["metadata"]["name"] for pv in world.get("pv")["items"]]:
        if name.startswith("adopt-"):
            world.kubectl("delete", "pv", name)


def make(world: World, name: str, size: str = "8M", pool: str | None = None) -> str:
    path = f"{pool or world.pool}/{name}"
    world.ceph.rbd("create", path, "--size", size)
    return path


def ask(world: World, image: str, cls: str, name: str = "data") -> str:
    """The request, without the command that waits for it; its name comes back."""
    wanted = AdoptionRequest(namespace=world.namespace, claim=name, storage_class=cls, image=image)
    world.apply(render(wanted))
    return request_name(wanted.key)


def requested(world: World) -> list[str]:
    return [pv["metadata"]["name"] for pv in world.get("pv")["items"] if pv["metadata"]["name"].startswith("adopt-")]


def counted(world: World) -> dict[str, float]:
    found = world.process.metrics()
    return {step: found[f'sutler_adoptions_total{{step="{step}"}}'] for step in ("asked", "done", "refused")}


def test_image_becomes_a_volume_and_lives_on_as_our_own(world: World, cls: str, sutler: Sutler) -> None:
    image, before = make(world, "old-disk"), counted(world)
    done = sutler("volumes", "adopt", image, "--claim", f"{world.namespace}/data", "--class", cls, "-o", "json")
    assert done.status == 0, done.err
    assert (done.json["image"], done.json["size"]) == (image, "8Mi")
    (bound,) = world.wait_bound()
    volume = world.volume_of("data")
    uid = bound["metadata"]["uid"]
    assert volume["metadata"]["name"] == f"pvc-{uid}"
    assert volume["spec"]["csi"]["volumeHandle"] == "old-disk"
    assert volume["spec"]["csi"]["volumeAttributes"]["staticVolume"] == "true"
    assert "exclusive-lock" in volume["spec"]["csi"]["volumeAttributes"]["imageFeatures"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    metadata = world.metadata("old-disk")
    assert (metadata["sutler.dev/uid"], metadata["csi.storage.k8s.io/pvc/name"]) == (uid, "data")
    assert "sutler.dev/adopting" not in {*metadata, *volume["metadata"]["annotations"]}
    assert requested(world) == []
    assert {step: counted(world)[step] - before[step] for step in before} == {"asked": 1, "done": 1, "refused": 0}
    world.kubectl("patch", "pvc", "data", "-p", '{"spec":{"resources":{"requests":{"storage":"12Mi"}}}}')
    wait_for(lambda: world.image("old-disk")["size"] == 12 * MIB, "the image to grow")
    world.delete_claims("data")
    world.wait_gone()


def test_image_of_any_size_is_adopted_as_it_is(world: World, cls: str, sutler: Sutler, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_bytes(b"x" * 1000001)
    image = f"{world.pool}/odd"
    world.ceph.rbd("import", str(odd), image)
    done = sutler("volumes", "adopt", image, "--claim", f"{world.namespace}/data", "--class", cls, "-o", "json")
    assert (done.status, done.json["size"]) == (0, "1000001"), done.err
    assert world.image("odd")["size"] == 1000001
    assert [one["status"]["phase"] for one in world.claims()] == ["Bound"]
    world.delete_claims("data")
    world.wait_gone()


def test_refused_adoption_leaves_nothing_behind(world: World, cls: str, sutler: Sutler) -> None:
    image = make(world, "disk")
    where = ("--claim", f"{world.namespace}/data", "--class", cls)
    # Known to the controller alone, when it has the claim.
    refused = sutler("volumes", "adopt", image, *where, "--access-mode", "ReadOnlyMany")
    assert (refused.status, "deleted again" in refused.err) == (1, True), refused.err
    assert (world.claims(), requested(world), world.images()) == ([], [], ["disk"])
    early = sutler("volumes", "adopt", image, *where, "--access-mode", "ReadWriteMany")
    assert (early.status, "add --block" in early.err, world.claims()) == (2, True, [])
    world.ceph.rbd("rm", image)


def test_claim_of_the_team_gets_the_image_and_no_new_one(requests: World, cls: str) -> None:
    world = requests
    name = ask(world, make(world, "old-disk"), cls)
    wait_for(lambda: "Checked" in annotation(world, name), "the image to be looked at")
    world.apply(claim("data", cls, "5Mi"))
    (bound,) = world.wait_bound()
    assert bound["status"]["capacity"]["storage"] == "8Mi"
    assert world.images() == ["old-disk"]
    wait_for(lambda: requested(world) == [], "the request to go")


def annotation(world: World, name: str) -> str:
    said: str = world.get("pv", name)["metadata"]["annotations"].get("sutler.dev/adoption", "")
    return said


def test_team_that_can_only_make_claims_gets_hold_of_nothing(
    world: World, cls: str, sutler: Sutler, control_plane: ControlPlane
) -> None:
    image = make(world, "crown-jewels")
    world.kubectl("create", "serviceaccount", "team")
    team = f"--serviceaccount={world.namespace}:team"
    world.kubectl("create", "rolebinding", "team", "--clusterrole=admin", team)
    sees = f"{world.namespace}-sees-classes"
    world.kubectl("create", "clusterrole", sees, "--verb=get,list", "--resource=storageclasses")
    world.kubectl("create", "clusterrolebinding", sees, f"--clusterrole={sees}", team)
    kubeconfig = control_plane.kubeconfig_for(world.namespace, "team")
    ran = sutler("volumes", "adopt", image, "--claim", f"{world.namespace}/data", "--class", cls, kubeconfig=kubeconfig)
    world.kubectl("delete", "clusterrole,clusterrolebinding", sees)
    assert (ran.status, 'cannot create resource "persistentvolumes"' in ran.err) == (3, True), ran.err
    asking = claim("thief", cls, "1Mi")
    asking["metadata"]["annotations"] = {"sutler.dev/adopt": image, "sutler.dev/image": image}
    world.apply(asking)
    world.wait_bound()
    assert world.volume_of("thief")["metadata"]["annotations"]["sutler.dev/image"] != image
    assert world.metadata("crown-jewels") == {}


def volume(name: str, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {"capacity": {"storage": "8Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "none"} | source,
    }


def csi(handle: str, **attributes: str) -> dict[str, Any]:
    return {"csi": {"driver": "rbd.csi.ceph.com", "volumeHandle": handle, "volumeAttributes": attributes}}


@pytest.fixture
def strangers(world: World) -> Iterator[dict[str, str]]:
    """Images that must not be adopted, and what is said of each."""
    prefix, pool = f"foreign-{world.namespace}", world.pool
    sources = {
        "in-tree": {"rbd": {"monitors": ["10.0.0.1:6789"], "pool": pool, "image": "in-tree"}},
        "ceph-csi": csi("0001-0001-b-0000000000000001-x", journalPool=pool, imageName="ceph-csi"),
        "same-handle": csi("same-handle", clusterID="b", pool="elsewhere", staticVolume="true"),
    }
    world.apply(*(volume(f"{prefix}-{name}", source) for name, source in sources.items()))
    for name in (*sources, "foreign", "unfinished"):
        make(world, name)
    for key, value in (("uid", "u"), ("kubernetes", "other")):
        world.ceph.rbd("image-meta", "set", f"{pool}/foreign", f"sutler.dev/{key}", value)
    world.ceph.rbd("image-meta", "set", f"{pool}/unfinished", "sutler.dev/unfinished", "remove abc")
    yield {
        "in-tree": f"is the image of PersistentVolume {prefix}-in-tree",
        "ceph-csi": f"is the image of PersistentVolume {prefix}-ceph-csi",
        "same-handle": f"PersistentVolume {prefix}-same-handle has an image of the same name in another pool",
        "foreign": "belongs to Kubernetes cluster other",
        "unfinished": "is incomplete: operation remove was interrupted",
        "missing": "does not exist",
    }
    world.kubectl("delete", "pv", *(f"{prefix}-{name}" for name in sources))


def test_image_of_somebody_else_is_refused_and_stays_as_it_is(
    requests: World, cls: str, sutler: Sutler, strangers: dict[str, str]
) -> None:
    world = requests
    world.apply(claim("theirs", cls, "1Mi"))
    world.wait_bound()
    theirs = world.volume_of("theirs")["spec"]["csi"]["volumeHandle"]
    expected = strangers | {theirs: "is the image of PersistentVolume pvc-"}
    before = {name: world.metadata(name) for name in world.images()}
    steps = counted(world)
    for number, name in enumerate(expected):
        ask(world, f"{world.pool}/{name}", cls, f"data-{number}")
    for number, (name, said) in enumerate(expected.items()):
        asked = request_name(f"{world.namespace}/data-{number}")
        world.wait_event(asked, "AdoptionRefused", said, namespace="default")
        assert annotation(world, asked).startswith("Refused: "), name
    assert {name: world.metadata(name) for name in world.images()} == before
    refused = {step: counted(world)[step] - steps[step] for step in steps}
    assert refused == {"asked": len(expected), "done": 0, "refused": len(expected)}
    ran = sutler("volumes", "adopt", f"{world.pool}/foreign", "--claim", f"{world.namespace}/data", "--class", cls)
    assert (ran.status, strangers["foreign"] in ran.err) == (1, True), ran.err
    assert request_name(f"{world.namespace}/data") not in requested(world)
    assert [one["metadata"]["name"] for one in world.claims()] == ["theirs"]


def test_image_in_use_is_waited_for(requests: World, cls: str, sutler: Sutler) -> None:
    world = requests
    image = make(world, "busy")
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCH, str(world.ceph.conf), world.pool, "busy"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert watcher.stdout is not None
    watcher.stdout.readline()
    options = ["--claim", f"{world.namespace}/data", "--class", cls, "--timeout", "2"]
    ran = sutler("volumes", "adopt", image, *options)
    assert (ran.status, f"given up after 2 s: {image} is in use at" in ran.err, ran.out) == (1, True, ""), ran.err
    assert requested(world) == []
    name = ask(world, image, cls)
    world.apply(claim("data", cls, "1Mi"))
    world.wait_event(name, "AdoptionWaiting", f"{image} is in use at", namespace="default")
    assert sutler("volumes", "list", "-n", world.namespace, "-o", "json").json[0]["state"] == "Adopting"
    world.wait_event("data", "ProvisioningFailed", f"(PersistentVolume {name}), and {image} is in use at")
    assert world.metadata("busy") == {}
    watcher.communicate(b"\n")
    world.wait_bound()
    assert world.images() == ["busy"]


WATCH = """
import sys, rados, rbd
with rados.Rados(conffile=sys.argv[1]) as cluster, cluster.open_ioctx(sys.argv[2]) as ioctx:
    with rbd.Image(ioctx, sys.argv[3]):
        print("open", flush=True)
        sys.stdin.readline()
"""


def test_one_image_asked_for_twice_becomes_one_volume(requests: World, cls: str) -> None:
    world = requests
    image = make(world, "wanted")
    for name in ("a", "b"):
        ask(world, image, cls, name)
    for name in requested(world):
        wait_for(lambda name=name: "Checked" in annotation(world, name), "both to be looked at")  # type: ignore[misc] # mypy can't type a lambda with a default
    world.apply(claim("a", cls, "1Mi"), claim("b", cls, "1Mi"))
    wait_for(lambda: len(world.volumes()) >= 1 and len(requested(world)) == 1, "one of them to get it")
    (loser,) = requested(world)
    wait_for(lambda: "is the image of PersistentVolume" in annotation(world, loser), "the other one to be refused")
    volumes = [pv for pv in world.volumes() if pv["metadata"]["name"] != loser]
    assert [pv["spec"]["csi"]["volumeHandle"] for pv in volumes] == ["wanted"]


@pytest.mark.long
def test_request_taken_back_leaves_the_image_alone(requests: World, cls: str) -> None:
    world = requests
    name = ask(world, make(world, "precious"), cls)
    wait_for(lambda: "Checked" in annotation(world, name), "the image to be looked at")
    world.control_plane.kubectl("delete", "pv", name)
    world.apply(claim("data", cls, "1Mi"))
    world.wait_bound()
    assert world.metadata("precious") == {}
    world.delete_claims("data")
    wait_for(lambda: world.images() == ["precious"], "the claim's own image to go")


@pytest.mark.long
def test_claim_that_is_made_anew_at_once_gets_its_old_image(requests: World, cls: str) -> None:
    """As a StatefulSet makes it, after its old volume was deleted; the request is there before."""
    world = requests
    image = make(world, "kubernetes-dynamic-pvc-1")
    old = f"old-{world.namespace}"
    body = volume(old, {"rbd": {"monitors": ["10.0.0.1:6789"], "pool": world.pool, "image": image.split("/")[1]}})
    body["spec"] |= {"storageClassName": cls, "claimRef": {"namespace": world.namespace, "name": "data"}}
    world.apply(body, claim("data", cls, "5Mi", volumeName=old))
    world.wait_bound()
    name = ask(world, image, cls)
    wait_for(lambda: f"is the image of PersistentVolume {old}" in annotation(world, name), "the old one to be seen")
    assert annotation(world, name).startswith("Waiting")
    world.kubectl("delete", "pvc", "data")
    world.apply(claim("data", cls, "5Mi"))
    world.kubectl("delete", "pv", old)
    world.wait_bound()
    assert world.images() == ["kubernetes-dynamic-pvc-1"]
    assert world.volume_of("data")["metadata"]["annotations"]["sutler.dev/image"] == image


@pytest.mark.long
def test_adoption_minds_rados_namespace_and_waiting_class(world: World, sutler: Sutler) -> None:
    world.ceph.rbd("namespace", "create", f"{world.pool}/tenant")
    image = make(world, "disk", pool=f"{world.pool}/tenant")
    make(world, "disk")
    cls = world.storage_class({"radosNamespace": "tenant"}, volumeBindingMode="WaitForFirstConsumer")
    options = ["--claim", f"{world.namespace}/data", "--class", cls]
    wrong = sutler("volumes", "adopt", f"{world.pool}/disk", *options)
    assert (wrong.status, "radosNamespace is the image's" in wrong.err) == (1, True), wrong.err
    done = sutler("volumes", "adopt", image, *options, "--block")
    assert done.status == 0, done.err
    world.wait_bound()
    assert world.volume_of("data")["spec"]["volumeMode"] == "Block"
    world.delete_claims("data")
    wait_for(lambda: not world.images(f"{world.pool}/tenant"), "the image to go with its claim")
    assert world.images() == ["disk"]


def test_restored_image_has_its_claim_and_its_data_again(world: World, sutler: Sutler) -> None:
    cls = world.storage_class({"deletionPolicy": "trash", "trashDelay": "1h"})
    world.apply(claim("data", cls, "8Mi"))
    world.wait_bound()
    (name,) = world.images()
    world.ceph.rbd("image-meta", "set", f"{world.pool}/{name}", "note", "mine")
    world.delete_claims("data")
    world.wait_gone()
    done = sutler("volumes", "restore", f"{world.namespace}/data", "--class", cls)
    assert done.status == 0, done.err
    (bound,) = world.wait_bound()
    assert world.images() == [name]
    assert world.metadata(name)["note"] == "mine"
    assert world.metadata(name)["sutler.dev/uid"] == bound["metadata"]["uid"]
    again = sutler("volumes", "restore", f"{world.namespace}/other", "--class", cls)
    assert (again.status, "no image that was claim" in again.err) == (1, True), again.err
