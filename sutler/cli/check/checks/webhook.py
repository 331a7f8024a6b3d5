"""Checks of the webhook: its registration, where it runs, and whether a Pod really gets its pull secret."""

from collections.abc import Iterator

from sutler import well_known
from sutler.cli.check.cluster_state import UNREAD_REGISTRATION, ClusterState, DryRunResult
from sutler.cli.check.findings import Finding, note, ok, problem, unknown

INSTALL = "kubectl apply -k manifests/base"
_CALLS = "kubectl get --raw /metrics | grep apiserver_admission_webhook"
_ADD = "sutler registry add registry.example.com/team --username NAME --password-stdin"


def is_registered(state: ClusterState) -> bool:
    """Whether the webhook is known to be registered."""
    return state.view.registered and UNREAD_REGISTRATION not in state.unread


def registration(state: ClusterState) -> Iterator[Finding]:
    if not state.view.registered:
        why = "is not registered (no MutatingWebhookConfiguration sutler-webhook): no Pod gets a pull secret"
        yield problem("The webhook", why, INSTALL)


def published_ca(state: ClusterState) -> Iterator[Finding]:
    if not state.ca_published:
        why = "has not published its CA yet, so the API server cannot call it: no Pod gets a pull secret"
        yield problem("The webhook", why, pods_command(state, "get pods", "webhook"))


def endpoint(state: ClusterState) -> Iterator[Finding]:
    if state.service_problem:
        yield problem("The webhook", state.service_problem, *inspect(state, "webhook"))


def own_namespace(state: ClusterState) -> Iterator[Finding]:
    selector, namespace = state.view.webhook_selector, state.view.own_namespace
    if selector is not None and selector.matches(state.view.labels(namespace)):
        why = "is not excluded from the webhook's registration: Sutler's own Pods would need Sutler to start"
        yield problem(f"Namespace {namespace}", why, INSTALL)


def injection(state: ClusterState) -> Iterator[Finding]:
    dry_run = state.dry_run
    what = f"A Pod with image {dry_run.image} in namespace {dry_run.namespace}"
    match dry_run.result:
        case DryRunResult.INJECTED if dry_run.unready:
            why = f"gets pull secret {dry_run.secret} (dry run), but the Secret may be missing: {dry_run.unready}"
            yield note(what, why, "sutler doctor")
        case DryRunResult.INJECTED:
            yield ok(f"{what} gets pull secret {dry_run.secret} (dry run)")
        case DryRunResult.NOT_INJECTED:
            why = f"does not get pull secret {dry_run.secret} (dry run): the API server cannot reach the webhook"
            logs = pods_command(state, "logs", "webhook")
            yield problem(what, f"{why}, or the webhook does not answer in time", _CALLS, logs)
        case DryRunResult.REJECTED:
            other = "sutler check-install --namespace NAME"
            yield unknown(what, f"could not be tried, because the API server rejects it: {dry_run.why}", other)
        case DryRunResult.NOT_TRIED if dry_run.unread:
            yield unknown("Injection", f"could not be tried: {dry_run.why}")
        case DryRunResult.NOT_TRIED:
            yield note("Injection", f"could not be tried: {dry_run.why}", _ADD)


def inspect(state: ClusterState, component: str) -> tuple[str, str]:
    """Commands that show why a component does not run."""
    return pods_command(state, "describe pods", component), pods_command(state, "logs", component)


def pods_command(state: ClusterState, verb: str, component: str) -> str:
    return f"kubectl -n {state.view.own_namespace} {verb} -l {well_known.COMPONENT}={component}"
