"""What is amiss with the webhook's certificate, and all of it for people and programs. Pure."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from certs.describe import CertificateSummary
from sutler.cli.certs.fetch import CertificateReport
from sutler.cli.doctor.findings import Finding, note, problem

_LINE = "{:<13}  {}"


def findings(seen: CertificateReport) -> list[Finding]:
    return [*_of_the_secret(seen), *_of_the_configuration(seen)]


def _of_the_secret(seen: CertificateReport) -> Iterator[Finding]:
    what, leaf = f"Secret {seen.namespace}/{seen.secret}", seen.stored.leaf
    look = f"kubectl -n {seen.namespace} logs -l app.kubernetes.io/component=webhook"
    if leaf is None:
        yield problem(what, "holds no certificate yet: the webhook, which makes it, does not run or may not", look)
    elif seen.keeper and leaf.expires <= seen.now:
        yield problem(what, "holds a certificate that has expired", f"cmctl renew -n {seen.namespace} {seen.keeper}")
    elif seen.stored.unusable and not seen.keeper:
        yield problem(what, f"holds a certificate that can't be served: {seen.stored.unusable}", look)
    elif leaf.renewal <= seen.now:
        yield problem(what, "holds a certificate that should have been renewed by now", look)
    elif seen.stored.changing:
        yield note(what, "is in a change of CA: the old one is trusted until nothing uses it any more")


def _of_the_configuration(seen: CertificateReport) -> Iterator[Finding]:
    what = f"MutatingWebhookConfiguration {seen.configuration}"
    if seen.published is None:
        yield problem(what, "is not there: the API server calls nobody", "kubectl apply -k manifests/base")
        return
    look = f"kubectl -n {seen.namespace} logs -l app.kubernetes.io/component=webhook"
    for each in seen.published:
        one = f"Webhook {each.webhook} of {what}"
        if each.empty:
            yield problem(one, "has no caBundle: the API server can't trust whom it calls, and injects nothing", look)
        elif each.untrusted:
            yield problem(one, f"has a caBundle with which every call fails: {each.untrusted}", look)
        elif each.unserved:
            yield problem(one, f"is not served as published: {each.unserved}", look)
        elif not each.same and not seen.keeper:
            yield note(one, "has another caBundle than the Secret; the webhook corrects it within seconds")


def as_text(seen: CertificateReport) -> str:
    stored = seen.stored
    lines = [_LINE.format("kept in", f"Secret {seen.namespace}/{seen.secret}{_keeper(seen)}")]
    for position, authority in enumerate(stored.authorities):
        lines += _certificate("CA" if position == 0 else "old CA", authority.name, authority, seen.now)
    if stored.leaf:
        subject = f"for {', '.join(stored.leaf.names) or 'nobody'}, signed by {stored.leaf.signer}"
        lines += _certificate("certificate", subject, stored.leaf, seen.now)
    trusting = [each.webhook for each in seen.published or () if not each.empty and not each.untrusted]
    if trusting:
        lines.append(_LINE.format("trusted by", f"{', '.join(trusting)} of {seen.configuration}"))
    return "\n".join([*lines, *(each.as_text() for each in findings(seen))])


def as_json(seen: CertificateReport) -> dict[str, Any]:
    stored = seen.stored
    return {
        "secret": {"namespace": seen.namespace, "name": seen.secret, "certManager": seen.keeper or None},
        "authorities": [_json(authority) for authority in stored.authorities],
        "certificate": _json(stored.leaf) if stored.leaf else None,
        "changing": stored.changing,
        "published": [
            {
                "webhook": each.webhook,
                "trusted": not each.empty and not each.untrusted,
                "same": each.same,
                "served": None if each.unserved is None else not each.unserved,
            }
            for each in seen.published or ()
        ],
        "findings": [each.as_json() for each in findings(seen)],
    }


def _keeper(seen: CertificateReport) -> str:
    return f", by cert-manager's Certificate {seen.keeper}" if seen.keeper else ""


def _certificate(what: str, subject: str, one: CertificateSummary, now: dt.datetime) -> list[str]:
    return [
        _LINE.format(what, subject),
        _LINE.format("", f"expires {_at(one.expires)} ({_away(one.expires - now)}), renewed from {_at(one.renewal)}"),
        _LINE.format("", f"SHA-256 {one.fingerprint}"),
    ]


def _json(one: CertificateSummary) -> dict[str, Any]:
    return {
        "name": one.name,
        "names": list(one.names),
        "signedBy": one.signer,
        "notBefore": one.begins.isoformat(),
        "notAfter": one.expires.isoformat(),
        "renewedFrom": one.renewal.isoformat(),
        "sha256": one.fingerprint,
    }


def _at(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _away(rest: dt.timedelta) -> str:
    if rest <= dt.timedelta():
        return "it is over"
    return f"in {rest.days} days" if rest.days > 1 else f"in {rest.total_seconds() / 3600:.1f} hours"
