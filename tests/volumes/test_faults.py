"""What breaks, and heals by itself."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import rados
import rbd

from tests.cluster import SutlerProcess, wait_for
from tests.volumes.world import World, claim

GRACE = 30
"""Seconds that Kubernetes gives a container to end after SIGTERM, if it is not told otherwise."""


@pytest.fixture
def orphan(world: World) -> Iterator[str]:
    """An image as a provisioner leaves it that is killed before the volume is saved, and whose claim is gone then."""
    uid = "6f1f6a2e-8c1d-4a2b-9a63-0d2f8d9f1c11"
    name = f"{world.namespace}-lost-{uid}"
    kubernetes = world.control_plane.kubectl_json("get", "namespace", "kube-system")["metadata"]["uid"]
    world.ceph.rbd("create", f"{world.pool}/{name}", "--size", "1M")
    own = world.image(name)["id"]
    for key, value in {
        "sutler.dev/uid": uid, "sutler.dev/kubernetes": kubernetes, "sutler.dev/image-id": own
    }.items():  # fmt: skip
        world.ceph.rbd("image-meta", "set", f"{world.pool}/{name}", key, value)
    yield name
    if name in world.images():
        world.ceph.rbd("rm", f"{world.pool}/{name}")


def test_impossible_claims_are_told_what_to_do_once_and_stop_nobody(world: World) -> None:
    cls = world.storage_class()
    world.apply(
        claim("shared", cls, accessModes=["ReadWriteMany"]),
        claim("picky", cls, selector={"matchLabels": {"a": "b"}}),
        claim("clone", cls, dataSource={"kind": "PersistentVolumeClaim", "name": "x"}),
        claim("huge", cls, "9223372036854775807"),
        claim("fine", cls),
    )
    wait_for(lambda: world.get("pvc", "fine")["status"]["phase"] == "Bound", "the good claim to be Bound")
    world.wait_event("shared", "ProvisioningFailed", "use ReadWriteOnce, or volumeMode Block, or CephFS")
    world.wait_event("picky", "ProvisioningFailed", "leave it away")
    world.wait_event("clone", "ProvisioningFailed", "is not served")
    world.wait_event("huge", "ProvisioningFailed", "63 bits")
    world.kubectl("annotate", "pvc", "--all", "touched=yes")
    world.apply(claim("later", cls))
    wait_for(lambda: world.get("pvc", "later")["status"]["phase"] == "Bound", "another good claim to be Bound")
    assert [e["count"] for e in world.events("shared", "ProvisioningFailed")] == [1]
    assert len(world.images()) == 2


def test_bad_class_gets_one_event_and_its_claims_are_served_once_it_is_made_well(world: World) -> None:
    bad = world.storage_class({"imageFeature": "layering"})
    world.apply(claim("one", bad), claim("two", bad))
    event = world.wait_event(bad, "InvalidParameters", "did you mean imageFeatures?", namespace="default")
    assert event["count"] == 1
    world.control_plane.kubectl("delete", "storageclass", bad)
    good = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": bad}}
    world.apply(good | {"provisioner": "rbd.sutler.dev", "parameters": {"pool": world.pool}})
    world.wait_bound(2)


def test_missing_pool_is_named_and_a_claim_heals_when_it_is_there(world: World) -> None:
    cls = world.storage_class({"pool": f"{world.pool}-later"})
    world.apply(claim("data", cls))
    world.wait_event("data", "ProvisioningFailed", f"pool {world.pool}-later does not exist")
    world.ceph.pool(f"{world.pool}-later")
    world.wait_bound()
    world.delete_claims()
    wait_for(lambda: not world.volumes(), "the volume to be gone")
    world.ceph.remove_pool(f"{world.pool}-later")


def test_osd_that_hangs_is_told_and_everything_heals_when_it_goes_on(world: World) -> None:
    cls = world.storage_class()
    world.apply(claim("before", cls))
    world.wait_bound()
    world.ceph.osd.freeze()
    try:
        world.apply(*(claim(f"data-{n}", cls) for n in range(12)))
        world.delete_claims("before")
        world.wait_event("data-0", "ProvisioningFailed", "Ceph did not answer in time")
        # What was begun and whose claim goes away meanwhile must not be left behind.
        world.delete_claims("data-11")
        assert world.process.probe("healthz")[0] == 200
    finally:
        world.ceph.osd.resume()
    wait_for(lambda: world.all_bound(11), "the other claims to be Bound")
    wait_for(lambda: len(world.images()) == 11, "only the images of the others to be left")
    world.delete_claims()
    world.wait_gone()


def test_monitor_that_hangs_keeps_no_claim_waiting(world: World) -> None:
    cls = world.storage_class()
    world.apply(claim("before", cls))
    world.wait_bound()
    world.ceph.mon.freeze()
    try:
        # The OSD serves those who have its map, and measuring the room holds up nothing else.
        world.apply(claim("during", cls))
        world.wait_bound(2)
    finally:
        world.ceph.mon.resume()
    assert len(world.images()) == 2


def test_volume_deleted_by_hand_goes_with_its_image_when_its_claim_goes(world: World) -> None:
    cls = world.storage_class()
    world.apply(claim("data", cls))
    world.wait_bound()
    world.kubectl("delete", "pv", world.volume_of("data")["metadata"]["name"], "--wait=false")
    assert len(world.images()) == 1
    assert world.all_bound(1)
    world.delete_claims()
    world.wait_gone()


def test_calls_that_never_come_back_keep_no_process_from_stopping(
    world: World, start_volumes: Callable[..., SutlerProcess]
) -> None:
    """Making and removing images: each in a thread of its own kind, which would wait for ten minutes."""
    cls = world.storage_class()
    world.apply(claim("before", cls))
    world.wait_bound()
    assert world.process.process.stop() == 0
    patient = start_volumes("--ceph-timeout=600")
    patient.start()
    world.ceph.osd.freeze()
    try:
        world.delete_claims("before")
        world.apply(*(claim(f"data-{n}", cls) for n in range(3)))
        world.wait_event("data-0", "Provisioning", "Making RBD image")
        wait_for(lambda: patient.metrics().get("sutler_volumes_in_progress") == 3, "all three to be asked for")
        assert patient.process.stop(grace=GRACE) == 0, patient.process.tail()
    finally:
        world.ceph.osd.resume()
        patient.stop()
        world.process.restart()
    world.wait_bound(3)
    wait_for(lambda: len(world.images()) == 3, "the removal to be gone on with")


@pytest.mark.parametrize("after", [0.05, *(pytest.param(after, marks=pytest.mark.long) for after in (0.3, 0.8))])
def test_killed_at_any_moment_nothing_is_doubled_and_nothing_is_lost(world: World, after: float) -> None:
    cls = world.storage_class()
    world.apply(*(claim(f"data-{n}", cls) for n in range(20)))
    time.sleep(after)  # the moment is the test's subject
    world.process.kill9()
    world.process.restart()
    bound = world.wait_bound(20)
    uids = {c["metadata"]["uid"] for c in bound}
    assert sorted(world.images()) == sorted(
        f"{world.namespace}-{c['metadata']['name']}-{c['metadata']['uid']}" for c in bound
    )
    assert {pv["spec"]["claimRef"]["uid"] for pv in world.volumes()} == uids
    world.delete_claims()
    time.sleep(after)
    world.process.kill9()
    world.process.restart()
    world.wait_gone()


def test_image_with_neither_claim_nor_volume_is_counted_and_left_alone(world: World, orphan: str) -> None:
    cls = world.storage_class()
    world.apply(claim("data", cls))
    world.wait_bound()
    sample = f'sutler_orphan_images{{cluster="",pool="{world.pool}"}}'
    wait_for(lambda: world.process.metrics().get(sample) == 1, "the orphan to be counted")
    assert orphan in world.images()
    world.ceph.rbd("rm", f"{world.pool}/{orphan}")
    wait_for(lambda: world.process.metrics().get(sample) == 0, "the orphan to be forgotten")


def test_image_under_our_name_that_is_not_ours_is_never_taken(world: World) -> None:
    cls = world.storage_class(volumeBindingMode="WaitForFirstConsumer")
    world.apply(claim("data", cls))
    uid = wait_for(lambda: world.get("pvc", "data")["metadata"]["uid"], "the claim's UID")
    name = f"{world.namespace}-data-{uid}"
    world.ceph.rbd("create", f"{world.pool}/{name}", "--size", "1M")
    world.kubectl("annotate", "pvc", "data", "volume.kubernetes.io/selected-node=node-1")
    world.wait_event("data", "ProvisioningFailed", "exists with 1048576 bytes instead of 1610612736")
    world.ceph.rbd("rm", f"{world.pool}/{name}")
    world.wait_bound()
    assert world.image(name)["size"] == 1610612736


def test_image_of_a_create_that_was_killed_half_way_is_finished(world: World) -> None:
    cls = world.storage_class(volumeBindingMode="WaitForFirstConsumer")
    world.apply(claim("nameless", cls), claim("headless", cls))
    uid = {c["metadata"]["name"]: c["metadata"]["uid"] for c in world.claims()}
    nameless, headless = (f"{world.namespace}-{n}-{uid[n]}" for n in ("nameless", "headless"))
    world.ceph.rbd("create", f"{world.pool}/{nameless}", "--size", "1610612736B", "--image-feature", "layering")
    world.ceph.rbd("create", f"{world.pool}/{headless}", "--size", "1G")
    identifier = world.image(headless)["id"]
    subprocess.run(
        ["rados", "-c", str(world.ceph.conf), "-p", world.pool, "rm", f"rbd_header.{identifier}"], check=True
    )
    world.kubectl("annotate", "pvc", "--all", "volume.kubernetes.io/selected-node=node-1")
    world.wait_bound(2)
    for name in (nameless, headless):
        assert world.image(name)["size"] == 1610612736
        assert world.metadata(name)["sutler.dev/uid"] in name
    world.delete_claims()
    world.wait_gone()


def test_image_that_is_needed_stays_and_the_event_says_by_whom(world: World) -> None:
    cls = world.storage_class()
    world.apply(*(claim(name, cls) for name in ("open", "kept", "cloned")))
    bound = world.wait_bound(3)
    image = {c["metadata"]["name"]: f"{world.namespace}-{c['metadata']['name']}-{c['metadata']['uid']}" for c in bound}
    volume = {c["metadata"]["name"]: c["spec"]["volumeName"] for c in bound}
    world.ceph.rbd("snap", "create", f"{world.pool}/{image['kept']}@nightly")
    world.ceph.rbd("snap", "create", f"{world.pool}/{image['cloned']}@base")
    world.ceph.rbd("snap", "protect", f"{world.pool}/{image['cloned']}@base")
    world.ceph.rbd("clone", f"{world.pool}/{image['cloned']}@base", f"{world.pool}/copy")
    with (
        rados.Rados(conffile=str(world.ceph.conf)) as cluster,
        cluster.open_ioctx(world.pool) as ioctx,
        rbd.Image(ioctx, image["open"]),
    ):
        world.delete_claims()
        event = world.wait_event(volume["open"], "VolumeFailedDelete", "in use at", namespace="default")
        assert "127.0.0.1:" in event["message"]
        world.wait_event(volume["kept"], "VolumeFailedDelete", "snapshots: nightly", namespace="default")
        world.wait_event(
            volume["cloned"], "VolumeFailedDelete", f"depend on it: {world.pool}/copy", namespace="default"
        )
        assert len(world.images()) == 4
    world.ceph.rbd("rm", f"{world.pool}/copy")
    world.ceph.rbd("snap", "unprotect", f"{world.pool}/{image['cloned']}@base")
    for name in ("kept", "cloned"):
        world.ceph.rbd("snap", "purge", f"{world.pool}/{image[name]}")
    world.wait_gone(90)


def test_missing_ceph_modules_are_an_error_that_names_the_packages() -> None:
    code = (
        "import sys; sys.modules['rados'] = None; sys.argv = ['provisioner', 'volumes', '--help'];"
        "from provisioner.__main__ import main; sys.exit(main(['volumes']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "python3-rados and python3-rbd" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_secrets_process_never_imports_ceph() -> None:
    code = (
        "import sys, json; from provisioner.__main__ import main\n"
        "try: main(['secrets', '--help'])\nexcept SystemExit: pass\n"
        "print(json.dumps([m for m in sys.modules if m in ('rados', 'rbd') or 'ceph' in m]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == []


def test_api_server_that_restarts_in_the_middle_loses_nothing(world: World) -> None:
    cls = world.storage_class()
    world.apply(*(claim(f"data-{n}", cls) for n in range(10)))
    world.control_plane.restart_apiserver()
    bound = world.wait_bound(10)
    assert len(world.images()) == len({c["spec"]["volumeName"] for c in bound}) == 10
    world.delete_claims()
    world.control_plane.restart_apiserver()
    world.wait_gone()


def test_claim_deleted_and_made_again_under_its_name_gets_an_image_of_its_own(world: World) -> None:
    cls = world.storage_class()
    uids = set()
    for _ in range(4):
        world.apply(claim("data", cls))
        uids.add(world.get("pvc", "data")["metadata"]["uid"])
        world.kubectl("delete", "pvc", "data", "--wait=true", "--timeout=30s")
    world.apply(claim("data", cls))
    (bound,) = world.wait_bound()
    wait_for(lambda: len(world.images()) == 1, "only the last one's image to be left")
    assert world.images() == [f"{world.namespace}-data-{bound['metadata']['uid']}"]
    assert bound["metadata"]["uid"] not in uids
