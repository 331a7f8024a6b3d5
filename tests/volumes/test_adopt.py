"""Existing images become claims' volumes on request of a storage administrator, and no image is ever lost."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sutler.typedefs import Json
from sutler.volumes.adoption_request import AdoptionRequest, render, request_name
from tests.cluster import ControlPlane, wait_for
from tests.volumes.command import Sutler
from tests.volumes.volume_env import VolumeEnv, claim

MIB = 1024**2


@pytest.fixture
def sutler(control_plane: ControlPlane) -> Sutler:
    """As a storage admin, without the REST API."""
    return Sutler(control_plane.kubeconfig)


@pytest.fixture
def cls(env: VolumeEnv) -> str:
    return env.storage_class(allowVolumeExpansion=True)


@pytest.fixture
def requests(env: VolumeEnv) -> Iterator[VolumeEnv]:
    """Takes back what requests a test leaves."""
    yield env
    for one in all_requests(env):
        env.kubectl("delete", "pv", one["name"], "--ignore-not-found")


def make(env: VolumeEnv, name: str, size: str = "8M", pool: str | None = None) -> str:
    path = f"{pool or env.pool}/{name}"
    env.ceph.rbd("create", path, "--size", size)
    return path


def ask(env: VolumeEnv, image: str, cls: str, name: str = "data") -> str:
    """The request, without the command that waits for it; its name comes back."""
    wanted = AdoptionRequest(namespace=env.namespace, claim=name, storage_class=cls, image=image)
    env.apply(render(wanted))
    return request_name(wanted.key)


def all_requests(env: VolumeEnv) -> list[Json]:
    """Their metadata."""
    return [pv["metadata"] for pv in env.get("pv")["items"] if pv["metadata"]["name"].startswith("adopt-")]


def requested(env: VolumeEnv) -> list[str]:
    """Without those that are being deleted, which pv-protection delays."""
    return [one["name"] for one in all_requests(env) if "deletionTimestamp" not in one]


def counted(env: VolumeEnv) -> dict[str, float]:
    found = env.process.metrics()
    return {step: found[f'sutler_adoptions_total{{step="{step}"}}'] for step in ("asked", "done", "refused")}


def test_image_becomes_a_volume_and_lives_on_as_our_own(env: VolumeEnv, cls: str, sutler: Sutler) -> None:
    image, before = make(env, "old-disk"), counted(env)
    done = sutler("volumes", "adopt", image, "--claim", f"{env.namespace}/data", "--class", cls, "-o", "json")
    assert done.status == 0, done.err
    assert (done.json["image"], done.json["size"]) == (image, "8Mi")
    (bound,) = env.wait_bound()
    volume = env.volume_of("data")
    uid = bound["metadata"]["uid"]
    assert volume["metadata"]["name"] == f"pvc-{uid}"
    assert volume["spec"]["csi"]["volumeHandle"] == "old-disk"
    assert volume["spec"]["csi"]["volumeAttributes"]["staticVolume"] == "true"
    assert "exclusive-lock" in volume["spec"]["csi"]["volumeAttributes"]["imageFeatures"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    metadata = env.metadata("old-disk")
    assert (metadata["sutler.dev/uid"], metadata["csi.storage.k8s.io/pvc/name"]) == (uid, "data")
    assert "sutler.dev/adopting" not in {*metadata, *volume["metadata"]["annotations"]}
    assert requested(env) == []
    assert {step: counted(env)[step] - before[step] for step in before} == {"asked": 1, "done": 1, "refused": 0}
    env.kubectl("patch", "pvc", "data", "-p", '{"spec":{"resources":{"requests":{"storage":"12Mi"}}}}')
    wait_for(lambda: env.image("old-disk")["size"] == 12 * MIB, "the image to grow")
    env.delete_claims("data")
    env.wait_gone()


def test_image_of_any_size_is_adopted_as_it_is(env: VolumeEnv, cls: str, sutler: Sutler, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_bytes(b"x" * 1000001)
    image = f"{env.pool}/odd"
    env.ceph.rbd("import", str(odd), image)
    done = sutler("volumes", "adopt", image, "--claim", f"{env.namespace}/data", "--class", cls, "-o", "json")
    assert (done.status, done.json["size"]) == (0, "1000001"), done.err
    assert env.image("odd")["size"] == 1000001
    assert [one["status"]["phase"] for one in env.claims()] == ["Bound"]
    env.delete_claims("data")
    env.wait_gone()


def test_refused_adoption_leaves_nothing_behind(env: VolumeEnv, cls: str, sutler: Sutler) -> None:
    image = make(env, "disk")
    where = ("--claim", f"{env.namespace}/data", "--class", cls)
    # Known to the controller alone, when it has the claim.
    refused = sutler("volumes", "adopt", image, *where, "--access-mode", "ReadOnlyMany")
    assert (refused.status, "Deleted claim" in refused.err) == (1, True), refused.err
    wait_for(lambda: not env.claims(), "the finalizers of the claim to go")
    assert (requested(env), env.images()) == ([], ["disk"])
    early = sutler("volumes", "adopt", image, *where, "--access-mode", "ReadWriteMany")
    assert (early.status, "add --block" in early.err, env.claims()) == (2, True, [])
    env.ceph.rbd("rm", image)


def test_claim_of_the_team_gets_the_image_and_no_new_one(requests: VolumeEnv, cls: str) -> None:
    env = requests
    name = ask(env, make(env, "old-disk"), cls)
    wait_for(lambda: "Checked" in annotation(env, name), "the image to be looked at")
    env.apply(claim("data", cls, "5Mi"))
    (bound,) = env.wait_bound()
    assert bound["status"]["capacity"]["storage"] == "8Mi"
    assert env.images() == ["old-disk"]
    wait_for(lambda: requested(env) == [], "the request to go")


def annotation(env: VolumeEnv, name: str) -> str:
    said: str = env.get("pv", name)["metadata"]["annotations"].get("sutler.dev/adoption", "")
    return said


def test_team_that_can_only_make_claims_gets_hold_of_nothing(
    env: VolumeEnv, cls: str, sutler: Sutler, control_plane: ControlPlane
) -> None:
    image = make(env, "crown-jewels")
    env.kubectl("create", "serviceaccount", "team")
    team = f"--serviceaccount={env.namespace}:team"
    env.kubectl("create", "rolebinding", "team", "--clusterrole=admin", team)
    sees = f"{env.namespace}-sees-classes"
    env.kubectl("create", "clusterrole", sees, "--verb=get,list", "--resource=storageclasses")
    env.kubectl("create", "clusterrolebinding", sees, f"--clusterrole={sees}", team)
    kubeconfig = control_plane.kubeconfig_for(env.namespace, "team")
    ran = sutler("volumes", "adopt", image, "--claim", f"{env.namespace}/data", "--class", cls, kubeconfig=kubeconfig)
    env.kubectl("delete", "clusterrole,clusterrolebinding", sees)
    assert (ran.status, 'cannot create resource "persistentvolumes"' in ran.err) == (3, True), ran.err
    asking = claim("thief", cls, "1Mi")
    asking["metadata"]["annotations"] = {"sutler.dev/adopt": image, "sutler.dev/image": image}
    env.apply(asking)
    env.wait_bound()
    assert env.volume_of("thief")["metadata"]["annotations"]["sutler.dev/image"] != image
    assert env.metadata("crown-jewels") == {}


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
def strangers(env: VolumeEnv) -> Iterator[dict[str, str]]:
    """Images that must not be adopted, and what is said of each."""
    prefix, pool = f"foreign-{env.namespace}", env.pool
    sources = {
        "in-tree": {"rbd": {"monitors": ["10.0.0.1:6789"], "pool": pool, "image": "in-tree"}},
        "ceph-csi": csi("0001-0001-b-0000000000000001-x", journalPool=pool, imageName="ceph-csi"),
        "same-handle": csi("same-handle", clusterID="b", pool="elsewhere", staticVolume="true"),
    }
    env.apply(*(volume(f"{prefix}-{name}", source) for name, source in sources.items()))
    for name in (*sources, "foreign", "unfinished"):
        make(env, name)
    for key, value in (("uid", "u"), ("kubernetes", "other")):
        env.ceph.rbd("image-meta", "set", f"{pool}/foreign", f"sutler.dev/{key}", value)
    env.ceph.rbd("image-meta", "set", f"{pool}/unfinished", "sutler.dev/unfinished", "remove abc")
    yield {
        "in-tree": f"is the image of PersistentVolume {prefix}-in-tree",
        "ceph-csi": f"is the image of PersistentVolume {prefix}-ceph-csi",
        "same-handle": f"PersistentVolume {prefix}-same-handle has an image of the same name in another pool",
        "foreign": "belongs to Kubernetes cluster other",
        "unfinished": "is incomplete: operation remove was interrupted",
        "missing": "does not exist",
    }
    env.kubectl("delete", "pv", *(f"{prefix}-{name}" for name in sources))


def test_image_with_another_owner_is_refused_and_unchanged(
    requests: VolumeEnv, cls: str, sutler: Sutler, strangers: dict[str, str]
) -> None:
    env = requests
    env.apply(claim("theirs", cls, "1Mi"))
    env.wait_bound()
    theirs = env.volume_of("theirs")["spec"]["csi"]["volumeHandle"]
    expected = strangers | {theirs: "is the image of PersistentVolume pvc-"}
    before = {name: env.metadata(name) for name in env.images()}
    steps = counted(env)
    for number, name in enumerate(expected):
        ask(env, f"{env.pool}/{name}", cls, f"data-{number}")
    for number, (name, said) in enumerate(expected.items()):
        asked = request_name(f"{env.namespace}/data-{number}")
        env.wait_event(asked, "AdoptionRefused", said, namespace="default")
        assert annotation(env, asked).startswith("Refused: "), name
    assert {name: env.metadata(name) for name in env.images()} == before
    refused = {step: counted(env)[step] - steps[step] for step in steps}
    assert refused == {"asked": len(expected), "done": 0, "refused": len(expected)}
    ran = sutler("volumes", "adopt", f"{env.pool}/foreign", "--claim", f"{env.namespace}/data", "--class", cls)
    assert (ran.status, strangers["foreign"] in ran.err) == (1, True), ran.err
    assert request_name(f"{env.namespace}/data") not in requested(env)
    assert [one["metadata"]["name"] for one in env.claims()] == ["theirs"]


def test_image_in_use_is_waited_for(requests: VolumeEnv, cls: str, sutler: Sutler) -> None:
    env = requests
    image = make(env, "busy")
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCH, str(env.ceph.conf), env.pool, "busy"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert watcher.stdout is not None
    watcher.stdout.readline()
    options = ["--claim", f"{env.namespace}/data", "--class", cls, "--timeout", "2"]
    ran = sutler("volumes", "adopt", image, *options)
    assert (ran.status, f"timed out after 2 s: {image} is in use at" in ran.err, ran.out) == (1, True, ""), ran.err
    assert requested(env) == []
    name = ask(env, image, cls)
    env.apply(claim("data", cls, "1Mi"))
    env.wait_event(name, "AdoptionWaiting", f"{image} is in use at", namespace="default")
    assert sutler("volumes", "list", "-n", env.namespace, "-o", "json").json[0]["state"] == "Adopting"
    env.wait_event("data", "ProvisioningFailed", f"(PersistentVolume {name}), and {image} is in use at")
    assert env.metadata("busy") == {}
    watcher.communicate(b"\n")
    env.wait_bound()
    assert env.images() == ["busy"]


WATCH = """
import sys, rados, rbd
with rados.Rados(conffile=sys.argv[1]) as cluster, cluster.open_ioctx(sys.argv[2]) as ioctx:
    with rbd.Image(ioctx, sys.argv[3]):
        print("open", flush=True)
        sys.stdin.readline()
"""


def test_one_image_requested_twice_becomes_one_volume(requests: VolumeEnv, cls: str) -> None:
    env = requests
    image = make(env, "wanted")
    for name in ("a", "b"):
        ask(env, image, cls, name)
    for name in requested(env):
        wait_for(lambda name=name: "Checked" in annotation(env, name), "both to be looked at")  # type: ignore[misc] # mypy can't type a lambda with a default
    env.apply(claim("a", cls, "1Mi"), claim("b", cls, "1Mi"))
    wait_for(lambda: len(env.volumes()) >= 1 and len(requested(env)) == 1, "one of them to get it")
    (loser,) = requested(env)
    wait_for(lambda: "is the image of PersistentVolume" in annotation(env, loser), "the other one to be refused")
    volumes = [pv for pv in env.volumes() if pv["metadata"]["name"] != loser]
    assert [pv["spec"]["csi"]["volumeHandle"] for pv in volumes] == ["wanted"]


@pytest.mark.long
def test_cancelled_request_leaves_the_image_unchanged(requests: VolumeEnv, cls: str) -> None:
    env = requests
    name = ask(env, make(env, "precious"), cls)
    wait_for(lambda: "Checked" in annotation(env, name), "the image to be looked at")
    env.control_plane.kubectl("delete", "pv", name)
    env.apply(claim("data", cls, "1Mi"))
    env.wait_bound()
    assert env.metadata("precious") == {}
    env.delete_claims("data")
    wait_for(lambda: env.images() == ["precious"], "the claim's own image to go")


@pytest.mark.long
def test_claim_that_is_recreated_at_once_gets_its_old_image(requests: VolumeEnv, cls: str) -> None:
    """As a StatefulSet makes it, after its old volume was deleted; the request is there before."""
    env = requests
    image = make(env, "kubernetes-dynamic-pvc-1")
    old = f"old-{env.namespace}"
    body = volume(old, {"rbd": {"monitors": ["10.0.0.1:6789"], "pool": env.pool, "image": image.split("/")[1]}})
    body["spec"] |= {"storageClassName": cls, "claimRef": {"namespace": env.namespace, "name": "data"}}
    env.apply(body, claim("data", cls, "5Mi", volumeName=old))
    env.wait_bound()
    name = ask(env, image, cls)
    wait_for(lambda: f"is the image of PersistentVolume {old}" in annotation(env, name), "the old one to be seen")
    assert annotation(env, name).startswith("Waiting")
    env.kubectl("delete", "pvc", "data")
    env.apply(claim("data", cls, "5Mi"))
    env.kubectl("delete", "pv", old)
    env.wait_bound()
    assert env.images() == ["kubernetes-dynamic-pvc-1"]
    assert env.volume_of("data")["metadata"]["annotations"]["sutler.dev/image"] == image


@pytest.mark.long
def test_adoption_minds_rados_namespace_and_waiting_class(env: VolumeEnv, sutler: Sutler) -> None:
    env.ceph.rbd("namespace", "create", f"{env.pool}/tenant")
    image = make(env, "disk", pool=f"{env.pool}/tenant")
    make(env, "disk")
    cls = env.storage_class({"radosNamespace": "tenant"}, volumeBindingMode="WaitForFirstConsumer")
    options = ["--claim", f"{env.namespace}/data", "--class", cls]
    wrong = sutler("volumes", "adopt", f"{env.pool}/disk", *options)
    assert (wrong.status, "radosNamespace is the image's" in wrong.err) == (1, True), wrong.err
    done = sutler("volumes", "adopt", image, *options, "--block")
    assert done.status == 0, done.err
    env.wait_bound()
    assert env.volume_of("data")["spec"]["volumeMode"] == "Block"
    env.delete_claims("data")
    wait_for(lambda: not env.images(f"{env.pool}/tenant"), "the image to go with its claim")
    assert env.images() == ["disk"]


def test_restored_image_has_its_claim_and_its_data_again(env: VolumeEnv, sutler: Sutler) -> None:
    cls = env.storage_class({"deletionPolicy": "trash", "trashDelay": "1h"})
    env.apply(claim("data", cls, "8Mi"))
    env.wait_bound()
    (name,) = env.images()
    env.ceph.rbd("image-meta", "set", f"{env.pool}/{name}", "note", "mine")
    env.delete_claims("data")
    env.wait_gone()
    done = sutler("volumes", "restore", f"{env.namespace}/data", "--class", cls)
    assert done.status == 0, done.err
    (bound,) = env.wait_bound()
    assert env.images() == [name]
    assert env.metadata(name)["note"] == "mine"
    assert env.metadata(name)["sutler.dev/uid"] == bound["metadata"]["uid"]
    again = sutler("volumes", "restore", f"{env.namespace}/other", "--class", cls)
    assert (again.status, "has no image of claim" in again.err) == (1, True), again.err
