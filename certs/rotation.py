"""The rotation of a CA and its leaf as a state machine. Pure: no I/O; the time and the state are arguments.

This order keeps the API server able to call the webhook at every moment of a change of CA:

1. the new CA is added to the old one in `ca.crt`; the present leaf stays
2. both are published in the webhook configuration's caBundle, and seen there
3. only then a leaf signed by the new CA replaces the old one
4. an hour later, when every replica serves that leaf, the old CA is removed from the bundle

Each replica takes the next step. Two replicas that take the same step write different keys: the API server accepts one
of them, and the other replica continues with that.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryptography import x509

from certs import pki
from certs.pki import CertificateError, KeyPair, ServerNames

CA_CERTIFICATE, CA_KEY, LEAF_CERTIFICATE, LEAF_KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"

RETIRE_AFTER = dt.timedelta(hours=1)
"""How long a leaf of the new CA is in use before the old CA is removed. Replicas refresh every few seconds."""

MOST_AUTHORITIES = 4
"""CAs in one bundle. More than two mean that clocks differ; the bundle must not grow without limit then."""


_LIFETIME_OVER = "two thirds of its lifetime are over"


def renewal_time(certificate: x509.Certificate) -> dt.datetime:
    """When two thirds of its lifetime are over."""
    begins, expires = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begins + (expires - begins) * 2 / 3


def is_due(certificate: x509.Certificate, now: dt.datetime) -> bool:
    """Whether the certificate has to be renewed. That also holds before it is valid: the clock was set back."""
    return now < certificate.not_valid_before_utc or now >= renewal_time(certificate)


@dataclass(frozen=True)
class CertificateSecret:
    """The four entries of the Secret as PEM; empty without a value."""

    authorities: bytes = b""
    """One or more CAs. The first one signs, the others are still trusted."""
    authority_key: bytes = field(default=b"", repr=False)
    leaf: KeyPair = field(default_factory=lambda: KeyPair(b"", b""))

    @classmethod
    def from_data(cls, data: Mapping[str, bytes]) -> "CertificateSecret":
        leaf = KeyPair(data.get(LEAF_CERTIFICATE, b""), data.get(LEAF_KEY, b""))
        return cls(data.get(CA_CERTIFICATE, b""), data.get(CA_KEY, b""), leaf)

    def to_data(self) -> dict[str, bytes]:
        return {
            CA_CERTIFICATE: self.authorities,
            CA_KEY: self.authority_key,
            LEAF_CERTIFICATE: self.leaf.certificate,
            LEAF_KEY: self.leaf.key,
        }


@dataclass(frozen=True)
class RotationStep:
    """The contents to write, and the reason for the log."""

    contents: CertificateSecret
    why: str


def next_step(have: CertificateSecret, names: ServerNames, now: dt.datetime, *, trusted: bool) -> RotationStep | None:
    """The next step, if one is due.

    Args:
        have: The contents of the Secret, which may be damaged.
        names: The names that the leaf must have.
        now: The present time.
        trusted: Whether clients trust the signing CA.
    """
    bundle = bundle_of(have)
    unusable = leaf_problem(have.leaf, bundle, names, now)
    authority, why = _authority(have, bundle, now)
    if authority is None:
        return _renew_authority(have, bundle, names, now, why=why, keep_leaf=not unusable)
    if unusable:
        return RotationStep(replace(have, leaf=pki.new_leaf(authority, names, now)), f"new certificate: {unusable}")
    leaf = pki.read_certificate(have.leaf.certificate)
    of_signing_authority = pki.is_signed_by(leaf, bundle[0])
    if is_due(leaf, now) or not of_signing_authority:
        if not trusted:
            return None
        why = _LIFETIME_OVER if of_signing_authority else "the new CA is trusted now"
        return RotationStep(replace(have, leaf=pki.new_leaf(authority, names, now)), f"new certificate: {why}")
    if len(bundle) > 1 and now >= leaf.not_valid_before_utc + pki.CLOCK_SKEW + RETIRE_AFTER:
        return RotationStep(
            replace(have, authorities=pki.write_bundle(bundle[:1])), "removed the old CA: nothing uses it"
        )
    return None


def _authority(have: CertificateSecret, bundle: list[x509.Certificate], now: dt.datetime) -> tuple[KeyPair | None, str]:
    """The signing CA with its key, or why a new one is needed."""
    if not bundle:
        return None, "there is none" if not have.authorities else "the stored one is unreadable"
    if not pki.is_valid(bundle[0], now):
        return None, "the stored one is not valid at this time"
    if is_due(bundle[0], now):
        return None, _LIFETIME_OVER
    try:
        key = pki.read_key(have.authority_key)
    except CertificateError as error:
        return None, f"its key is unusable: {error}"
    if not pki.is_pair(bundle[0], key):
        return None, "the stored key belongs to another certificate"
    return KeyPair(pki.write_bundle(bundle[:1]), have.authority_key), ""


def _renew_authority(
    have: CertificateSecret,
    bundle: list[x509.Certificate],
    names: ServerNames,
    now: dt.datetime,
    *,
    why: str,
    keep_leaf: bool,
) -> RotationStep:
    authority = pki.new_authority(now)
    still_valid = [old for old in bundle if now < old.not_valid_after_utc][: MOST_AUTHORITIES - 1]
    return RotationStep(
        CertificateSecret(
            authorities=authority.certificate + pki.write_bundle(still_valid),
            authority_key=authority.key,
            # Without a usable leaf, one that clients don't trust yet loses nothing.
            leaf=have.leaf if keep_leaf else pki.new_leaf(authority, names, now),
        ),
        f"new CA: {why}",
    )


def leaf_problem(  # noqa: PLR0911 - a list of cases
    leaf: KeyPair, bundle: list[x509.Certificate], names: ServerNames, now: dt.datetime
) -> str:
    """Why a leaf can't be served; empty if it can."""
    if not leaf.certificate:
        return "there is none"
    try:
        certificate, key = pki.read_certificate(leaf.certificate), pki.read_key(leaf.key)
    except CertificateError as error:
        return f"the stored one is unusable: {error}"
    if not pki.is_pair(certificate, key):
        return "the stored key belongs to another certificate"
    if not pki.is_valid(certificate, now):
        return "the stored one is not valid at this time"
    if not pki.has_names(certificate, names):
        return f"the stored one does not have the names {', '.join((*names.dns, *names.ips))}"
    if not any(pki.is_signed_by(certificate, authority) for authority in bundle):
        return "the stored one is not signed by any stored CA"
    return ""


def bundle_of(have: CertificateSecret) -> list[x509.Certificate]:
    """The CAs; none if they are unreadable."""
    try:
        return pki.read_bundle(have.authorities)
    except CertificateError:
        return []
