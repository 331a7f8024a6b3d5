"""What other tests build on: each fixture gives the real thing."""

import json
import subprocess
from pathlib import Path

import pytest
import rados
import rbd

from tests.cluster import Ceph, ClusterError, ControlPlane, Place, Registry, wait_for
from tests.ground import processes


def test_namespace_admits_a_pod_at_once(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("run", "one", "--image=busybox", "-n", namespace)
    pod = control_plane.kubectl_json("get", "pod", "one", "-n", namespace)
    assert pod["spec"]["serviceAccountName"] == "default"


def test_kubeconfig_for_an_account_is_that_account_and_no_more(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl(
        "create", "rolebinding", "see", "--clusterrole=view", f"--serviceaccount={namespace}:default", "-n", namespace
    )
    kubeconfig = control_plane.kubeconfig_for(namespace, "default")
    assert _can(kubeconfig, "list", "pods", namespace) == "yes"
    assert _can(kubeconfig, "list", "secrets", namespace) == "no"
    assert _can(kubeconfig, "list", "pods", "kube-system") == "no"


def test_audit_log_has_who_did_what(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "configmap", "seen", "-n", namespace)
    events = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
    mine = [event for event in events if event["objectRef"].get("namespace") == namespace and event["verb"] == "create"]
    assert ("admin", "configmaps") in {(event["user"]["username"], event["objectRef"]["resource"]) for event in mine}


def test_kubectl_failure_names_the_command_and_the_reason(control_plane: ControlPlane) -> None:
    with pytest.raises(ClusterError, match=r'kubectl get pod missing: .*pods "missing" not found'):
        control_plane.kubectl("get", "pod", "missing")


def test_pool_holds_images(ceph: Ceph, pool: str) -> None:
    ceph.rbd_program("create", f"{pool}/one", "--size", "1536M")
    assert json.loads(ceph.rbd_program("info", f"{pool}/one", "--format", "json"))["size"] == 1_610_612_736


def test_ceph_is_healthy_and_has_no_pools_of_its_own(ceph: Ceph, pool: str) -> None:
    ceph.wait_for_manager()
    wait_for(lambda: ceph.ceph("health").startswith("HEALTH_OK"), "HEALTH_OK")
    pools = json.loads(ceph.ceph("osd", "pool", "ls", "-f", "json"))
    assert pool in pools
    # Its manager would: .mgr (which that of Ceph 20 can't be kept from), device_health_metrics, .nfs.
    assert [name for name in pools if name.startswith((".", "device_")) and name != ".mgr"] == []


@pytest.mark.parametrize("release", ["18", "20"])
def test_ceph_of_another_release_serves_this_machines_client(release: str, place: Place, tmp_path: Path) -> None:
    ceph = Ceph(tmp_path, place, release=release)
    ceph.start()
    try:
        assert {version.split()[2].split(".")[0] for version in json.loads(ceph.ceph("versions"))["overall"]} == {
            release
        }
        pool = ceph.pool("images")
        conf = ceph.client_conf(tmp_path / "user", {"reader": {"mon": "profile rbd", "osd": "profile rbd"}})
        with rados.Rados(conffile=str(conf), rados_id="reader") as cluster, cluster.open_ioctx(pool) as ioctx:
            rbd.RBD().create(ioctx, "one", 1 << 20)
        assert ceph.rbd_program("ls", pool).split() == ["one"]
    finally:
        ceph.stop()
    mounts = Path("/proc/self/mounts").read_text()
    assert not processes.naming(str(tmp_path))
    assert f"ceph-{release}" not in mounts, "what was mounted for it went with it"


def test_ceph_20_as_freshly_made_accepts_the_new_kind_of_secret_alone(place: Place, tmp_path: Path) -> None:
    ceph = Ceph(tmp_path, place, release="20", cipher="aes256k")
    ceph.start()
    try:
        pool = ceph.pool("images")
        assert ceph.rbd_program("ls", pool) == ""
        assert "auth_allowed_ciphers aes256k\n" in ceph.ceph("mon", "dump")
        assert ceph.ceph("auth", "get-key", "client.admin").startswith("Ag")
    finally:
        ceph.stop()


def test_registry_refuses_clients_without_a_password(registry: Registry) -> None:
    with_it = registry.authfile("UserName", "Password")
    without = registry.authfile("Unknown", "Password")
    assert "manifest unknown" in _inspect(registry, str(with_it))
    assert "authentication required" in _inspect(registry, str(without))


def _can(kubeconfig: object, verb: str, resource: str, namespace: str) -> str:
    command = ["kubectl", f"--kubeconfig={kubeconfig}", "auth", "can-i", verb, resource, "-n", namespace]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()


def _inspect(registry: Registry, authfile: str) -> str:
    command = [
        "skopeo",
        "inspect",
        "--tls-verify=false",
        "--authfile",
        authfile,
        f"docker://{registry.host}/none:latest",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stderr
