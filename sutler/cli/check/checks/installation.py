"""Checks of an installation: the API server, the CRD, Sutler's Deployments, service accounts and StorageClasses."""

from collections.abc import Iterator

from sutler import well_known
from sutler.cli.check.checks.webhook import INSTALL, inspect
from sutler.cli.check.cluster_state import (
    NO_IN_TREE_RBD,
    UNREAD_CRD,
    UNREAD_DEPLOYMENTS,
    UNREAD_LEASES,
    UNREAD_PERMISSIONS,
    UNREAD_REGISTRATION,
    ClusterState,
)
from sutler.cli.check.findings import Finding, note, ok, problem, unknown
from sutler.typedefs import Json
from sutler.volumes.served_classes import volume_source

COMPONENTS = ("webhook", "secrets", "volumes", "api")
LEADERS = ("secrets", "volumes")
"""Components of which one replica works at a time, the holder of the Lease sutler-COMPONENT."""
_OLDEST = (1, 20)


def server(state: ClusterState) -> Iterator[Finding]:
    text = ".".join(map(str, state.version))
    if state.version >= _OLDEST:
        yield ok(f"The API server is Kubernetes {text}")
    else:
        yield problem("The API server", f"is Kubernetes {text}; Sutler needs 1.20 or newer")


def crd(state: ClusterState) -> Iterator[Finding]:
    apply = "kubectl apply -f manifests/crds"
    if state.crd is None:
        if UNREAD_CRD not in state.unread:
            yield problem("The kind RegistryMapping", "is unknown to this cluster: its CRD is missing", apply)
        return
    served = [each["name"] for each in state.crd["spec"]["versions"] if each.get("served")]
    conditions = (state.crd.get("status") or {}).get("conditions") or ()
    established = any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
    if not established:
        describe = "kubectl describe crd registrymappings.sutler.dev"
        yield problem("The CRD of RegistryMapping", "is not established", describe)
    elif "v1alpha1" not in served:
        yield problem("The CRD of RegistryMapping", f"serves {', '.join(served)}, not v1alpha1", apply)
    else:
        yield ok("The CRD of RegistryMapping is established")


def components(state: ClusterState) -> Iterator[Finding]:
    for component in COMPONENTS:
        if component in state.deployments:
            yield _deployment(state, component, state.deployments[component])
        elif UNREAD_DEPLOYMENTS not in state.unread:
            yield _without_deployment(state, component)


def _deployment(state: ClusterState, component: str, deployment: Json) -> Finding:
    namespace = state.view.own_namespace
    what = f"Deployment {namespace}/{deployment['metadata']['name']}"
    leader = state.leader(component)
    replicas = deployment["spec"].get("replicas", 1)
    ready = (deployment.get("status") or {}).get("readyReplicas") or 0
    has_ready = f"has {ready} of {replicas} Pods ready"
    if ready < replicas:
        return problem(what, f"{has_ready}{_waiting_reasons(state, component)}", *inspect(state, component))
    if replicas == 0:
        return note(what, "is scaled to 0 replicas")
    if component in LEADERS and not leader and UNREAD_LEASES in state.unread:
        return unknown(what, f"{has_ready}; whether one of them is the leader could not be read")
    if component in LEADERS and not leader:
        describe = f"kubectl -n {namespace} describe lease sutler-{component}"
        return problem(what, "has Pods that are ready, but no leader: it does no work", describe)
    return ok(f"{what} {has_ready}" + (f"; leader: {leader}" if leader else ""))


def _without_deployment(state: ClusterState, component: str) -> Finding:
    """A component without a Deployment may run outside the cluster, or may not be wanted."""
    what, leader = f"Deployment sutler-{component}", state.leader(component)
    needed = UNREAD_REGISTRATION if component == "webhook" else UNREAD_LEASES if component in LEADERS else ""
    if needed in state.unread:
        return unknown(what, f"does not exist; whether it runs elsewhere is unknown without reading {needed}")
    if component == "webhook" and state.webhook_urls:
        return note(what, f"does not exist; the webhook is registered at {', '.join(state.webhook_urls)}")
    if leader:
        return note(what, f"does not exist; {leader} does its work from outside the cluster")
    if component == "webhook" or (component == "secrets" and any(each.copy_from for each in state.view.mappings)):
        elsewhere = "sutler check-install --sutler-namespace NAME"
        return problem(what, f"does not exist in namespace {state.view.own_namespace}", INSTALL, elsewhere)
    return note(what, "does not exist: this component is not installed")


def _waiting_reasons(state: ClusterState, component: str) -> str:
    found = dict.fromkeys(
        reason
        for pod in state.own_pods
        if (pod["metadata"].get("labels") or {}).get(well_known.COMPONENT) == component
        for reason in _why_waiting(pod)
    )
    return f": {'; '.join(found)}" if found else ""


def _why_waiting(pod: Json) -> Iterator[str]:
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield str(condition.get("message") or condition.get("reason"))
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting:
            yield " ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))


def service_accounts(state: ClusterState) -> Iterator[Finding]:
    for account in dict.fromkeys(account for account, _ in state.denied):
        missing = "; ".join(permission for name, permission in state.denied if name == account)
        yield problem(f"Account {state.view.own_namespace}/{account}", f"lacks permissions: {missing}", INSTALL)
    if not state.denied and state.permissions_checked and UNREAD_PERMISSIONS not in state.unread:
        yield ok("All service accounts have the permissions they need")


def has_no_in_tree_rbd(state: ClusterState) -> bool:
    return state.version >= NO_IN_TREE_RBD


def storage_classes(state: ClusterState) -> Iterator[Finding]:
    for cls in state.classes:
        if volume_source(cls) == "rbd":
            why = (
                "has volumeSource rbd, which no kubelet mounts since Kubernetes 1.31: its claims are bound, but their "
                "Pods never start. Create a class with volumeSource csi, for the node plugin of ceph-csi"
            )
            yield problem(f"StorageClass {cls['metadata']['name']}", why, "kubectl apply -k manifests/overlays/csi")
