"""What other tests build on: each fixture gives the real thing."""

import json
import subprocess

import pytest

from tests.cluster import Ceph, ClusterError, ControlPlane, Registry


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
    with pytest.raises(ClusterError, match=r'kubectl get pod nobody: .*pods "nobody" not found'):
        control_plane.kubectl("get", "pod", "nobody")


def test_pool_holds_images(ceph: Ceph, pool: str) -> None:
    ceph.rbd("create", f"{pool}/one", "--size", "1536M")
    assert json.loads(ceph.rbd("info", f"{pool}/one", "--format", "json"))["size"] == 1_610_612_736


def test_ceph_is_healthy_and_has_no_pools_of_its_own(ceph: Ceph, pool: str) -> None:
    pools = json.loads(ceph.ceph("osd", "pool", "ls", "-f", "json"))
    assert pool in pools
    # Its manager would: .mgr, device_health_metrics, .nfs.
    assert [name for name in pools if name.startswith((".", "device_"))] == []


def test_registry_refuses_whoever_has_no_password(registry: Registry) -> None:
    with_it = registry.authfile("UserName", "Password")
    without = registry.authfile("Nobody", "Password")
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
