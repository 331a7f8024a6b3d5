"""The output of `sutler certs show`. Pure: no I/O."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from certs.describe import CertificateSummary
from sutler.cli.certs.certificate_report import CertificateReport
from sutler.cli.check.findings import Finding

_LINE = "{:<13}  {}"


def as_text(report: CertificateReport, found: Iterable[Finding]) -> str:
    stored = report.stored
    lines = [_LINE.format("stored in", f"Secret {report.namespace}/{report.secret}{_manager(report)}")]
    for position, authority in enumerate(stored.authorities):
        lines += _certificate("CA" if position == 0 else "old CA", authority.name, authority, report.now)
    if stored.leaf:
        subject = f"for {', '.join(stored.leaf.names) or 'no name'}, signed by {stored.leaf.signer}"
        lines += _certificate("certificate", subject, stored.leaf, report.now)
    trusting = [each.webhook for each in report.published or () if not each.empty and not each.untrusted]
    if trusting:
        lines.append(_LINE.format("trusted by", f"{', '.join(trusting)} of {report.configuration}"))
    return "\n".join([*lines, *(each.as_text() for each in found)])


def as_json(report: CertificateReport, found: Iterable[Finding]) -> dict[str, Any]:
    stored = report.stored
    return {
        "secret": {"namespace": report.namespace, "name": report.secret, "certManager": report.cert_manager or None},
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
            for each in report.published or ()
        ],
        "findings": [each.as_json() for each in found],
    }


def _manager(report: CertificateReport) -> str:
    return f", managed by cert-manager's Certificate {report.cert_manager}" if report.cert_manager else ""


def _certificate(what: str, subject: str, one: CertificateSummary, now: dt.datetime) -> list[str]:
    return [
        _LINE.format(what, subject),
        _LINE.format(
            "", f"expires {_at(one.expires)} ({_remaining(one.expires - now)}), renewal from {_at(one.renewal)}"
        ),
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


def _remaining(rest: dt.timedelta) -> str:
    if rest <= dt.timedelta():
        return "expired"
    return f"in {rest.days} days" if rest.days > 1 else f"in {rest.total_seconds() / 3600:.1f} hours"
