"""Provisioners with other settings than the defaults: several Ceph clusters, the policy for orphans."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.volume_env import VolumeEnv, claim

Start = Callable[..., SutlerProcess]


@pytest.fixture
def clusters(ceph: Ceph, tmp_path: Path) -> Path:
    """Two clusterIDs: one that answers and one whose monitor is not there."""
    key = json.loads(ceph.ceph("auth", "get-key", "client.admin", "-f", "json"))["key"]
    down = "[global]\nmon host = v1:127.0.0.1:1\n"
    for name, conf in {"up": ceph.conf.read_text(), "down": down}.items():
        (tmp_path / name).mkdir()
        for file, text in {"ceph.conf": conf, "userID": "admin", "userKey": key}.items():
            (tmp_path / name / file).write_text(text)
    return tmp_path


def test_cluster_that_is_down_does_not_delay_claims_of_others(
    control_plane: ControlPlane, ceph: Ceph, start_volumes: Start, *, namespace: str, pool: str, clusters: Path
) -> None:
    process = start_volumes(f"--ceph-clusters={clusters}", "--workers=4")
    env = VolumeEnv(control_plane, ceph, process, namespace, pool)
    process.start()
    try:
        down = env.storage_class({"clusterID": "down"})
        up = env.storage_class({"clusterID": "up"})
        env.apply(*(claim(f"down-{n}", down) for n in range(12)))
        env.wait_event("down-0", "ProvisioningFailed", "no monitor answers")
        env.apply(*(claim(f"up-{n}", up) for n in range(4)))
        wait_for(lambda: len(env.images()) == 4, "the other cluster's claims to be served")
        unknown = env.storage_class({"clusterID": "typo"})
        env.apply(claim("typo", unknown))
        env.wait_event(
            "typo", "ProvisioningFailed", "clusterID typo is not configured: the configured ones are down, up"
        )
        # The one that was down comes up: its files now lead to it.
        (clusters / "down" / "ceph.conf").write_text(ceph.conf.read_text())
        wait_for(lambda: len(env.images()) == 16, "all claims to be served")
        env.delete_claims()
        env.wait_gone()
        key = (clusters / "up" / "userKey").read_text()
        assert key not in process.log_text()
        assert key not in json.dumps(env.get("events"))
    finally:
        process.stop()
    env.clean_up()


def test_orphan_is_moved_to_the_trash_by_policy_and_once_it_is_old_enough(
    control_plane: ControlPlane, ceph: Ceph, start_volumes: Start, namespace: str, pool: str
) -> None:
    process = start_volumes("--orphans=trash", "--orphan-grace=3", "--orphan-trash-delay=3600")
    env = VolumeEnv(control_plane, ceph, process, namespace, pool)
    kubernetes = control_plane.kubectl_json("get", "namespace", "kube-system")["metadata"]["uid"]
    uid = "6f1f6a2e-8c1d-4a2b-9a63-0d2f8d9f1c11"
    for name, cluster in {"ours": kubernetes, "of-another-cluster": "another"}.items():
        ceph.rbd("create", f"{pool}/{name}", "--size", "1M")
        ceph.rbd("image-meta", "set", f"{pool}/{name}", "sutler.dev/uid", uid)
        ceph.rbd("image-meta", "set", f"{pool}/{name}", "sutler.dev/kubernetes", cluster)
        ceph.rbd("image-meta", "set", f"{pool}/{name}", "sutler.dev/image-id", env.image(name)["id"])
    ceph.rbd("create", f"{pool}/foreign", "--size", "1M")
    env.storage_class()
    process.start()
    try:
        wait_for(lambda: "ours" not in env.images(), "the orphan to be moved")
        assert sorted(env.images()) == ["foreign", "of-another-cluster"]
        (entry,) = json.loads(ceph.rbd("trash", "ls", pool, "--format", "json"))
        assert entry["name"] == "ours"
        ceph.rbd("trash", "rm", f"{pool}/{entry['id']}", "--force")
        for name in env.images():
            ceph.rbd("rm", f"{pool}/{name}")
    finally:
        process.stop()
    env.clean_up()
