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
from tests.volumes.volume_env import VolumeEnv, claim

GRACE = 30
"""Seconds that Kubernetes gives a container to end after SIGTERM by default."""


@pytest.fixture
def orphan(env: VolumeEnv) -> Iterator[str]:
    """An image as a provisioner leaves it that is killed before the volume is saved, and whose claim is gone then."""
    uid = "6f1f6a2e-8c1d-4a2b-9a63-0d2f8d9f1c11"
    name = f"{env.namespace}-lost-{uid}"
    kubernetes = env.control_plane.kubectl_json("get", "namespace", "kube-system")["metadata"]["uid"]
    env.ceph.rbd("create", f"{env.pool}/{name}", "--size", "1M")
    own = env.image(name)["id"]
    for key, value in {
        "sutler.dev/uid": uid, "sutler.dev/kubernetes": kubernetes, "sutler.dev/image-id": own
    }.items():  # fmt: skip
        env.ceph.rbd("image-meta", "set", f"{env.pool}/{name}", key, value)
    yield name
    if name in env.images():
        env.ceph.rbd("rm", f"{env.pool}/{name}")


def test_impossible_claims_get_one_event_and_delay_no_others(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(
        claim("shared", cls, accessModes=["ReadWriteMany"]),
        claim("picky", cls, selector={"matchLabels": {"a": "b"}}),
        claim("clone", cls, dataSource={"kind": "PersistentVolumeClaim", "name": "x"}),
        claim("huge", cls, "9223372036854775807"),
        claim("fine", cls),
    )
    wait_for(lambda: env.get("pvc", "fine")["status"]["phase"] == "Bound", "the good claim to be Bound")
    env.wait_event("shared", "ProvisioningFailed", "use ReadWriteOnce, or volumeMode Block, or CephFS")
    env.wait_event("picky", "ProvisioningFailed", "remove it")
    env.wait_event("clone", "ProvisioningFailed", "PersistentVolumeClaim x does not exist")
    env.wait_event("huge", "ProvisioningFailed", "63 bits")
    env.kubectl("annotate", "pvc", "--all", "touched=yes")
    env.apply(claim("later", cls))
    wait_for(lambda: env.get("pvc", "later")["status"]["phase"] == "Bound", "another good claim to be Bound")
    assert [e["count"] for e in env.events("shared", "ProvisioningFailed")] == [1]
    assert len(env.images()) == 2


def test_invalid_class_gets_one_event_and_its_claims_are_served_once_it_is_valid(env: VolumeEnv) -> None:
    bad = env.storage_class({"imageFeature": "layering"})
    env.apply(claim("one", bad), claim("two", bad))
    event = env.wait_event(bad, "InvalidParameters", "did you mean imageFeatures?", namespace="default")
    assert event["count"] == 1
    env.control_plane.kubectl("delete", "storageclass", bad)
    good = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": bad}}
    env.apply(good | {"provisioner": "rbd.sutler.dev", "parameters": {"pool": env.pool}})
    env.wait_bound(2)


def test_missing_pool_is_named_and_a_claim_heals_when_it_is_there(env: VolumeEnv) -> None:
    cls = env.storage_class({"pool": f"{env.pool}-later"})
    env.apply(claim("data", cls))
    env.wait_event("data", "ProvisioningFailed", f"pool {env.pool}-later does not exist")
    env.ceph.pool(f"{env.pool}-later")
    env.wait_bound()
    env.delete_claims()
    wait_for(lambda: not env.volumes(), "the volume to be gone")
    env.ceph.remove_pool(f"{env.pool}-later")


def test_osd_that_hangs_is_reported_and_everything_recovers_when_it_continues(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(claim("before", cls))
    env.wait_bound()
    env.ceph.osd.freeze()
    try:
        env.apply(*(claim(f"data-{n}", cls) for n in range(12)))
        env.delete_claims("before")
        env.wait_event("data-0", "ProvisioningFailed", "Ceph did not answer in time")
        # What was begun and whose claim goes away meanwhile must not be left behind.
        env.delete_claims("data-11")
        assert env.process.probe("healthz")[0] == 200
    finally:
        env.ceph.osd.resume()
    wait_for(lambda: env.all_bound(11), "the other claims to be Bound")
    wait_for(lambda: len(env.images()) == 11, "only the images of the others to be left")
    env.delete_claims()
    env.wait_gone()


def test_monitor_that_hangs_keeps_no_claim_waiting(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(claim("before", cls))
    env.wait_bound()
    env.ceph.mon.freeze()
    try:
        # The OSD serves those who have its map, and measuring the capacity delays nothing else.
        env.apply(claim("during", cls))
        env.wait_bound(2)
    finally:
        env.ceph.mon.resume()
    assert len(env.images()) == 2


def test_volume_deleted_by_hand_goes_with_its_image_when_its_claim_goes(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(claim("data", cls))
    env.wait_bound()
    env.kubectl("delete", "pv", env.volume_of("data")["metadata"]["name"], "--wait=false")
    assert len(env.images()) == 1
    assert env.all_bound(1)
    env.delete_claims()
    env.wait_gone()


def test_calls_that_never_come_back_keep_no_process_from_stopping(
    env: VolumeEnv, start_volumes: Callable[..., SutlerProcess]
) -> None:
    """Making and removing images: each in a thread of its own kind, which would wait for ten minutes."""
    cls = env.storage_class()
    env.apply(claim("before", cls))
    env.wait_bound()
    assert env.process.process.stop() == 0
    patient = start_volumes("--ceph-timeout=600")
    patient.start()
    env.ceph.osd.freeze()
    try:
        env.delete_claims("before")
        env.apply(*(claim(f"data-{n}", cls) for n in range(3)))
        env.wait_event("data-0", "Provisioning", "Creating RBD image")
        wait_for(lambda: patient.metrics().get("sutler_volumes_in_progress") == 3, "all three to be asked for")
        assert patient.process.stop(grace=GRACE) == 0, patient.process.tail()
    finally:
        env.ceph.osd.resume()
        patient.stop()
        env.process.restart()
    env.wait_bound(3)
    wait_for(lambda: len(env.images()) == 3, "the removal to be gone on with")


@pytest.mark.long  # test_killed_everywhere.py kills in each call, whose short form is always run
@pytest.mark.parametrize("after", [0.05, 0.3, 0.8])
def test_killed_at_any_moment_nothing_is_doubled_and_nothing_is_lost(env: VolumeEnv, after: float) -> None:
    cls = env.storage_class()
    env.apply(*(claim(f"data-{n}", cls) for n in range(20)))
    time.sleep(after)  # the moment is the test's subject
    env.process.kill9()
    env.process.restart()
    bound = env.wait_bound(20)
    uids = {c["metadata"]["uid"] for c in bound}
    assert sorted(env.images()) == sorted(
        f"{env.namespace}-{c['metadata']['name']}-{c['metadata']['uid']}" for c in bound
    )
    assert {pv["spec"]["claimRef"]["uid"] for pv in env.volumes()} == uids
    env.delete_claims()
    time.sleep(after)
    env.process.kill9()
    env.process.restart()
    env.wait_gone()


def test_image_with_neither_claim_nor_volume_is_counted_and_unchanged(env: VolumeEnv, orphan: str) -> None:
    cls = env.storage_class()
    env.apply(claim("data", cls))
    env.wait_bound()
    sample = f'sutler_orphan_images{{cluster="",pool="{env.pool}"}}'
    wait_for(lambda: env.process.metrics().get(sample) == 1, "the orphan to be counted")
    assert orphan in env.images()
    env.ceph.rbd("rm", f"{env.pool}/{orphan}")
    wait_for(lambda: env.process.metrics().get(sample) == 0, "the orphan to be forgotten")


def test_image_of_the_same_name_with_another_owner_is_never_used(env: VolumeEnv) -> None:
    cls = env.storage_class(volumeBindingMode="WaitForFirstConsumer")
    env.apply(claim("data", cls))
    uid = wait_for(lambda: env.get("pvc", "data")["metadata"]["uid"], "the claim's UID")
    name = f"{env.namespace}-data-{uid}"
    env.ceph.rbd("create", f"{env.pool}/{name}", "--size", "1M")
    env.kubectl("annotate", "pvc", "data", "volume.kubernetes.io/selected-node=node-1")
    env.wait_event("data", "ProvisioningFailed", "exists with 1048576 bytes instead of 1610612736")
    env.ceph.rbd("rm", f"{env.pool}/{name}")
    env.wait_bound()
    assert env.image(name)["size"] == 1610612736


def test_image_of_an_interrupted_create_is_completed(env: VolumeEnv) -> None:
    cls = env.storage_class(volumeBindingMode="WaitForFirstConsumer")
    env.apply(claim("nameless", cls), claim("headless", cls))
    uid = {c["metadata"]["name"]: c["metadata"]["uid"] for c in env.claims()}
    nameless, headless = (f"{env.namespace}-{n}-{uid[n]}" for n in ("nameless", "headless"))
    env.ceph.rbd("create", f"{env.pool}/{nameless}", "--size", "1610612736B", "--image-feature", "layering")
    env.ceph.rbd("create", f"{env.pool}/{headless}", "--size", "1G")
    identifier = env.image(headless)["id"]
    subprocess.run(["rados", "-c", str(env.ceph.conf), "-p", env.pool, "rm", f"rbd_header.{identifier}"], check=True)
    env.kubectl("annotate", "pvc", "--all", "volume.kubernetes.io/selected-node=node-1")
    env.wait_bound(2)
    for name in (nameless, headless):
        assert env.image(name)["size"] == 1610612736
        assert env.metadata(name)["sutler.dev/uid"] in name
    env.delete_claims()
    env.wait_gone()


def test_image_in_use_is_kept_and_the_event_names_the_user(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(*(claim(name, cls) for name in ("open", "kept", "cloned", "grouped")))
    bound = env.wait_bound(4)
    image = {c["metadata"]["name"]: f"{env.namespace}-{c['metadata']['name']}-{c['metadata']['uid']}" for c in bound}
    volume = {c["metadata"]["name"]: c["spec"]["volumeName"] for c in bound}
    env.ceph.rbd("snap", "create", f"{env.pool}/{image['kept']}@nightly")
    env.ceph.rbd("snap", "create", f"{env.pool}/{image['cloned']}@base")
    env.ceph.rbd("snap", "protect", f"{env.pool}/{image['cloned']}@base")
    env.ceph.rbd("clone", f"{env.pool}/{image['cloned']}@base", f"{env.pool}/copy")
    env.ceph.rbd("group", "create", f"{env.pool}/trio")
    env.ceph.rbd("group", "image", "add", f"{env.pool}/trio", f"{env.pool}/{image['grouped']}")
    with (
        rados.Rados(conffile=str(env.ceph.conf)) as cluster,
        cluster.open_ioctx(env.pool) as ioctx,
        rbd.Image(ioctx, image["open"]),
    ):
        env.delete_claims()
        event = env.wait_event(volume["open"], "VolumeFailedDelete", "in use at", namespace="default")
        assert "127.0.0.1:" in event["message"]
        env.wait_event(volume["grouped"], "VolumeFailedDelete", f"group {env.pool}/trio", namespace="default")
        # What depends on an image, of an administrator's too, keeps the image, not the volume.
        wait_for(lambda: len(env.volumes()) == 2, "the volumes of the other two to be gone")
        for name in ("kept", "cloned"):
            env.wait_event(volume[name], "ImageParked", image[name], namespace="default")
        assert len(env.images()) == 5
    env.ceph.rbd("group", "image", "rm", f"{env.pool}/trio", f"{env.pool}/{image['grouped']}")
    env.ceph.rbd("rm", f"{env.pool}/copy")
    env.ceph.rbd("snap", "unprotect", f"{env.pool}/{image['cloned']}@base")
    for name in ("kept", "cloned"):
        env.ceph.rbd("snap", "purge", f"{env.pool}/{image[name]}")
    env.wait_gone()


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


@pytest.mark.long  # short: tests/kube/test_reflector.py follows a restarted API server
def test_api_server_that_restarts_in_the_middle_loses_nothing(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(*(claim(f"data-{n}", cls) for n in range(10)))
    env.control_plane.restart_apiserver()
    bound = env.wait_bound(10)
    assert len(env.images()) == len({c["spec"]["volumeName"] for c in bound}) == 10
    env.delete_claims()
    env.control_plane.restart_apiserver()
    env.wait_gone()


def test_claim_deleted_and_made_again_under_its_name_gets_an_image_of_its_own(env: VolumeEnv) -> None:
    cls = env.storage_class()
    uids = set()
    for _ in range(4):
        env.apply(claim("data", cls))
        uids.add(env.get("pvc", "data")["metadata"]["uid"])
        env.kubectl("delete", "pvc", "data", "--wait=true", "--timeout=30s")
    env.apply(claim("data", cls))
    (bound,) = env.wait_bound()
    wait_for(lambda: len(env.images()) == 1, "only the last one's image to be left")
    assert env.images() == [f"{env.namespace}-data-{bound['metadata']['uid']}"]
    assert bound["metadata"]["uid"] not in uids
