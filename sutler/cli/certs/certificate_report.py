"""State of the webhook's certificate: the Secret that holds it, and the registration that publishes its CA."""

import datetime as dt
from dataclasses import dataclass

from certs.describe import StoredCertificates


@dataclass(frozen=True)
class BundleState:
    """The CA bundle in one webhook of the MutatingWebhookConfiguration."""

    webhook: str
    empty: bool
    same: bool
    """It is byte for byte the bundle of the Secret."""
    untrusted: str
    """Why the API server would reject the stored certificate; empty if it trusts it."""
    unserved: str | None
    """Why the served certificate is rejected, empty if it is not; None if the webhook is not reachable from here."""


@dataclass(frozen=True)
class CertificateReport:
    now: dt.datetime
    namespace: str
    """Sutler's namespace, which has the Secret."""
    secret: str
    configuration: str
    """Name of the MutatingWebhookConfiguration."""
    version: str
    """resourceVersion of the Secret."""
    cert_manager: str
    """Name of the cert-manager Certificate that manages the Secret; empty if the webhook manages it."""
    stored: StoredCertificates
    published: tuple[BundleState, ...] | None
    """None if there is no such configuration."""
