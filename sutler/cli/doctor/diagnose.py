"""From what a cluster looks like to what is amiss, why, and what to type. Pure."""

from collections.abc import Iterator
from datetime import timedelta

from sutler.cli.doctor.cluster_state import ClusterState
from sutler.cli.doctor.copies import copies, mappings
from sutler.cli.doctor.findings import Finding, note, problem, unknown
from sutler.cli.doctor.pulls import pulls
from sutler.kube.resources import PODS
from sutler.registry.image import ImageError, parse_image
from sutler.registry.index import MappingIndex

_LEASE_OLD = timedelta(seconds=60)


def diagnose(seen: ClusterState) -> list[Finding]:
    """The most fundamental first."""
    return [
        *_webhook(seen),
        *_copier(seen),
        *mappings(seen),
        *pulls(seen),
        *_unused(seen),
        *(unknown(what, "could not be looked at: you may not, as this user") for what in seen.unseen),
    ]


def _webhook(seen: ClusterState) -> Iterator[Finding]:
    if not seen.world.registered:
        why = "is not registered (no MutatingWebhookConfiguration sutler-webhook): no Pod gets a pull secret"
        yield problem("The webhook", why, "kubectl apply -k manifests/base")
    elif not seen.trusted:
        why = "has not published its CA yet, so the API server can't call it: no Pod gets a pull secret"
        look = f"kubectl -n {seen.world.own_namespace} get pods -l app.kubernetes.io/component=webhook"
        yield problem("The webhook", why, look)


def _copier(seen: ClusterState) -> Iterator[Finding]:
    if seen.copier_seen is None or not any(map(copies, seen.world.mappings)):
        return
    look = f"kubectl -n {seen.world.own_namespace} get pods -l app.kubernetes.io/component=secrets"
    if not seen.copier_seen:
        yield problem("The secrets controller", "does not run: nothing is copied", look)
    elif seen.age(seen.copier_seen) > _LEASE_OLD:
        why = f"was last seen at {seen.copier_seen}: nothing is copied meanwhile"
        yield problem("The secrets controller", why, look)


def _unused(seen: ClusterState) -> Iterator[Finding]:
    """Only of the whole cluster can one say that."""
    if seen.namespace or f"{PODS.kind}s" in seen.unseen:
        return
    index = MappingIndex(seen.world.mappings)
    used = set()
    for namespace, text in {(pod.namespace, use.image) for pod in seen.pods for use in pod.images}:
        try:
            image = parse_image(text)
        except ImageError:
            continue
        labels = seen.world.labels(namespace)
        used |= {mapping.name for mapping in index.lookup(image) if mapping.selector.matches(labels)}
    for mapping in seen.world.mappings:
        if mapping.name not in used:
            why = "is used by no Pod that is there now (those that CronJobs make later don't count)"
            yield note(f"Mapping {mapping.name}", why)
