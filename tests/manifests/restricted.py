"""The Pod Security Standard `restricted`, field by field, for Kubernetes before 1.23, whose server does not check it.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/, with all rules of the profile `baseline`.
Pure: no I/O.
"""

from collections.abc import Iterator

from tests.manifests.rendered import Json

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_HOST = ("hostNetwork", "hostPID", "hostIPC")
_SECCOMP = {"RuntimeDefault", "Localhost"}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
}


def violations(pod: Json) -> list[str]:
    """Return the violations of a Pod or a Pod template; empty if an enforcing namespace admits it."""
    spec = pod["spec"]
    found = [f"{field}: {spec[field]}" for field in _HOST if spec.get(field)]
    found += [
        f"volume {volume['name']}" for volume in spec.get("volumes", []) if not volume.keys() - {"name"} <= _VOLUMES
    ]
    own = spec.get("securityContext", {})
    found += [f"sysctl {each['name']}" for each in own.get("sysctls", []) if each["name"] not in _SYSCTLS]
    found += [
        "AppArmor: unconfined"
        for key, value in pod.get("metadata", {}).get("annotations", {}).items()
        if key.startswith("container.apparmor.security.beta.kubernetes.io/") and value == "unconfined"
    ]
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind, []):
            found += [f"{kind}/{container['name']} {what}" for what in _of_container(container, own)]
    return found


def _of_container(container: Json, pod: Json) -> Iterator[str]:
    own = container.get("securityContext", {})
    yield from _of_baseline(container, own)
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities.drop"
    if not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
        yield "capabilities.add"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot"
    if 0 in (own.get("runAsUser"), pod.get("runAsUser")):
        yield "runAsUser"
    if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in _SECCOMP:
        yield "seccompProfile"


def _of_baseline(container: Json, own: Json) -> Iterator[str]:
    if own.get("privileged"):
        yield "privileged"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if own.get("seLinuxOptions", {}).keys() & {"user", "role"}:
        yield "seLinuxOptions"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
