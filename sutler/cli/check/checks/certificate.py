"""Checks of the webhook's certificate, and of the CA by which the API server trusts it."""

from collections.abc import Iterator

from sutler.cli.certs.certificate_report import CertificateReport
from sutler.cli.check.checks.webhook import INSTALL, pods_command
from sutler.cli.check.cluster_state import ClusterState
from sutler.cli.check.findings import Finding, note, ok, problem


def trust(state: ClusterState) -> Iterator[Finding]:
    """All of this module's checks, and that none of them found a problem."""
    if state.certificate_problem:
        yield problem("The webhook's certificate", f"could not be read: {state.certificate_problem}")
    elif state.certificate is not None:
        found = [*secret(state), *configuration(state)]
        yield from found
        if not any(each.is_problem for each in found):
            yield ok("The webhook is registered, and the API server trusts its certificate")


def secret(state: ClusterState) -> Iterator[Finding]:
    report, logs = _report(state), pods_command(state, "logs", "webhook")
    what, leaf = f"Secret {report.namespace}/{report.secret}", report.stored.leaf
    if leaf is None:
        yield problem(what, "has no certificate yet: the webhook, which issues it, is down or lacks permissions", logs)
    elif report.cert_manager and leaf.expires <= report.now:
        renew = f"cmctl renew -n {report.namespace} {report.cert_manager}"
        yield problem(what, "has a certificate that has expired", renew)
    elif report.stored.unusable and not report.cert_manager:
        yield problem(what, f"has a certificate that cannot be served: {report.stored.unusable}", logs)
    elif leaf.renewal <= report.now:
        yield problem(what, "has a certificate that is overdue for renewal", logs)
    elif report.stored.changing:
        yield note(what, "is in a change of CA: the old CA stays trusted until nothing uses it any more")


def configuration(state: ClusterState) -> Iterator[Finding]:
    report, logs = _report(state), pods_command(state, "logs", "webhook")
    what = f"MutatingWebhookConfiguration {report.configuration}"
    if report.published is None:
        yield problem(what, "does not exist: the API server calls no webhook", INSTALL)
        return
    for each in report.published:
        one = f"Webhook {each.webhook} of {what}"
        if each.empty:
            why = "has no caBundle: the API server cannot verify the webhook, so no Pod gets a pull secret"
            yield problem(one, why, logs)
        elif each.untrusted:
            yield problem(one, f"has a caBundle with which every call fails: {each.untrusted}", logs)
        elif each.unserved:
            yield problem(one, f"is not served with the published CA: {each.unserved}", logs)
        elif not each.same and not report.cert_manager:
            yield note(one, "has another caBundle than the Secret; the webhook corrects it within seconds")


def _report(state: ClusterState) -> CertificateReport:
    assert state.certificate is not None  # noqa: S101 - Part.CERTIFICATE is read
    return state.certificate
