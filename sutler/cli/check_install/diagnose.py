"""From what an installation looks like to what is fine, what is amiss, and what to type. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sutler.cli.certs import render
from sutler.cli.check_install.installation import (
    COMPONENTS,
    HELD,
    LEADING,
    NO_IN_TREE,
    REGISTRATION,
    RIGHTS,
    InjectionTrial,
    InstallationReport,
)
from sutler.cli.check_install.result import CheckPassed, Result, note, problem, unknown
from sutler.typedefs import Json
from sutler.volumes.storage_class import volume_source

_OLDEST = (1, 20)
_LEASE_OLD = timedelta(seconds=60)
_INSTALL = "kubectl apply -k manifests/base"
_VIEW_CALLS = "kubectl get --raw /metrics | grep apiserver_admission_webhook"


def diagnose(seen: InstallationReport) -> list[Result]:
    """In the order in which an installation is made."""
    return [
        *_server(seen),
        *_crd(seen),
        *(result for component in COMPONENTS for result in _component(seen, component)),
        *_rights(seen),
        *_classes(seen),
        *_webhook(seen),
        *_injection(seen),
        *(unknown(what, "could not be looked at: you may not, as this user") for what in seen.unseen),
    ]


def _server(seen: InstallationReport) -> Iterator[Result]:
    text = ".".join(map(str, seen.version))
    if seen.version >= _OLDEST:
        yield CheckPassed(f"The API server is Kubernetes {text}")
    else:
        yield problem("The API server", f"is Kubernetes {text}, Sutler needs 1.20 or newer")


def _crd(seen: InstallationReport) -> Iterator[Result]:
    apply = "kubectl apply -f manifests/crds"
    if seen.crd is None:
        if "the CRD" not in seen.unseen:
            yield problem("The kind RegistryMapping", "is not known to this cluster (its CRD is missing)", apply)
        return
    served = [each["name"] for each in seen.crd["spec"]["versions"] if each.get("served")]
    conditions = (seen.crd.get("status") or {}).get("conditions") or ()
    established = any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
    if not established:
        yield problem(
            "The CRD of RegistryMapping", "is not established", "kubectl describe crd registrymappings.sutler.dev"
        )
    elif "v1alpha1" not in served:
        yield problem("The CRD of RegistryMapping", f"serves {', '.join(served)}, not v1alpha1", apply)
    else:
        yield CheckPassed("RegistryMapping is known")


def _component(seen: InstallationReport, component: str) -> Iterator[Result]:
    deployment = seen.deployments.get(component)
    leading = _leader(seen, component)
    if deployment is None:
        yield from _elsewhere(seen, component, leading)
        return
    what = f"Deployment {seen.own}/{deployment['metadata']['name']}"
    wanted = deployment["spec"].get("replicas", 1)
    ready = (deployment.get("status") or {}).get("readyReplicas") or 0
    if ready < wanted:
        yield problem(
            what, f"has {ready} of {wanted} Pods ready{_reasons(seen, component)}", *_inspect(seen, component)
        )
    elif wanted == 0:
        yield note(what, "is scaled to none")
    elif component in LEADING and leading is None and HELD in seen.unseen:
        yield unknown(what, f"has {ready} of {wanted} Pods ready; whether one leads could not be looked at")
    elif component in LEADING and leading is None:
        lease = f"kubectl -n {seen.own} describe lease sutler-{component}"
        yield problem(what, "has Pods that are ready, of which none leads: nothing is done", lease)
    else:
        yield CheckPassed(f"{what} has {ready} of {wanted} Pods ready" + (f", led by {leading}" if leading else ""))


def _elsewhere(seen: InstallationReport, component: str, leading: str | None) -> Iterator[Result]:
    """There is no Deployment, which is fine for what runs outside of the cluster or is not wanted."""
    if "Deployments" in seen.unseen:
        return
    what = f"Deployment sutler-{component}"
    unseen = REGISTRATION if component == "webhook" else HELD if component in LEADING else ""
    if unseen in seen.unseen:
        yield unknown(what, f"is not there; whether its work is done elsewhere is unknown, without {unseen}")
    elif component == "webhook" and seen.urls:
        yield note(what, f"is not there; the webhook is registered at {', '.join(seen.urls)}")
    elif leading:
        yield note(what, f"is not there; its work is done by {leading}, outside of the cluster")
    elif component == "webhook" or (component == "secrets" and any(each.copy_from for each in seen.world.mappings)):
        yield problem(
            what, f"is not there in namespace {seen.own}", _INSTALL, "sutler check-install --sutler-namespace NAME"
        )
    else:
        yield note(what, "is not there: that part of Sutler is not installed")


def _leader(seen: InstallationReport, component: str) -> str | None:
    """Who holds the lease; None if nobody has renewed it lately."""
    spec = seen.leases.get(component, {}).get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if not holder or not renewed:
        return None
    age = datetime.fromisoformat(seen.now) - datetime.fromisoformat(renewed)
    return str(holder) if age <= _LEASE_OLD else None


def _reasons(seen: InstallationReport, component: str) -> str:
    found = dict.fromkeys(
        reason
        for pod in seen.pods
        if (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component") == component
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


def _inspect(seen: InstallationReport, component: str) -> tuple[str, str]:
    label = f"-l app.kubernetes.io/component={component}"
    return f"kubectl -n {seen.own} describe pods {label}", f"kubectl -n {seen.own} logs {label}"


def _rights(seen: InstallationReport) -> Iterator[Result]:
    for account in dict.fromkeys(account for account, _ in seen.denied):
        lacking = "; ".join(right for name, right in seen.denied if name == account)
        yield problem(f"Account {seen.own}/{account}", f"lacks rights: {lacking}", _INSTALL)
    if not seen.denied and seen.asked and RIGHTS not in seen.unseen:
        yield CheckPassed("The accounts have the rights that they can't do without")


def _classes(seen: InstallationReport) -> Iterator[Result]:
    if seen.version < NO_IN_TREE:
        return
    for cls in seen.classes:
        if volume_source(cls) == "rbd":
            why = (
                "has volumeSource rbd, which no kubelet mounts since Kubernetes 1.31: its claims are bound, and their "
                "Pods never start. Make a class with volumeSource csi, for ceph-csi's node plugin"
            )
            yield problem(f"StorageClass {cls['metadata']['name']}", why, "kubectl apply -k manifests/overlays/csi")


def _webhook(seen: InstallationReport) -> Iterator[Result]:
    if not seen.world.registered:
        why = "is not registered (no MutatingWebhookConfiguration sutler-webhook): no Pod gets a pull secret"
        yield problem("The webhook", why, _INSTALL)
        return
    if REGISTRATION in seen.unseen:
        return
    if seen.service:
        yield problem("The webhook", seen.service, *_inspect(seen, "webhook"))
    if seen.world.covered is not None and seen.world.covered.matches(seen.world.labels(seen.own)):
        why = "is not left out of the webhook's registration: Sutler's own Pods would need Sutler to start"
        yield problem(f"Namespace {seen.own}", why, _INSTALL)
    if seen.certificate_trouble:
        yield problem("The webhook's certificate", f"can't be seen: {seen.certificate_trouble}")
    elif seen.certificate is not None:
        found = render.findings(seen.certificate)
        yield from found
        if not any(each.harmful for each in found):
            yield CheckPassed("The webhook is registered, and the API server trusts its certificate")


def _injection(seen: InstallationReport) -> Iterator[Result]:
    trial = seen.trial
    what = f"A Pod with image {trial.image} in namespace {trial.namespace}"
    match trial.outcome:
        case InjectionTrial.DONE if trial.unready:
            why = f"gets pull secret {trial.secret} (tried as a dry run), which may not be there: {trial.unready}"
            yield note(what, why, "sutler doctor")
        case InjectionTrial.DONE:
            yield CheckPassed(f"{what} gets pull secret {trial.secret} (tried as a dry run)")
        case InjectionTrial.MISSING:
            why = (
                f"does not get pull secret {trial.secret} (tried as a dry run): the API server can't reach the webhook"
            )
            logs = f"kubectl -n {seen.own} logs -l app.kubernetes.io/component=webhook"
            yield problem(what, f"{why}, or gets no answer in time", _VIEW_CALLS, logs)
        case InjectionTrial.REFUSED:
            other = "sutler check-install --namespace NAME"
            yield unknown(what, f"could not be tried, the API server refuses it: {trial.why}", other)
        case InjectionTrial.UNTRIED if trial.unseen:
            yield unknown("Injection", f"could not be tried: {trial.why}")
        case InjectionTrial.UNTRIED:
            add = "sutler registry add registry.example.com/team --username NAME --password-stdin"
            yield note("Injection", f"could not be tried: {trial.why}", add)
