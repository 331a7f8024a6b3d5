"""Summaries of certificates in plain values. Pure: no I/O. Keys are checked and never shown."""

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from certs import pki
from certs.pki import CertificateError, ServerNames
from certs.rotation import CertificateSecret, bundle_of, leaf_problem, renewal_time


@dataclass(frozen=True)
class CertificateSummary:
    name: str
    """The common name."""
    fingerprint: str
    """SHA-256, hexadecimal."""
    begins: dt.datetime
    expires: dt.datetime
    renewal: dt.datetime
    """When Sutler renews it."""
    names: tuple[str, ...]
    """The DNS names and addresses in it."""
    signer: str
    """The common name of the CA that signed it."""


@dataclass(frozen=True)
class StoredCertificates:
    authorities: tuple[CertificateSummary, ...]
    """CAs: the first one signs, the others are still trusted."""
    leaf: CertificateSummary | None
    unusable: str
    """Why the leaf can't be served; empty if it can."""
    changing: bool
    """Whether a change of CA is in progress: there are two CAs, or the first one has not signed the leaf yet."""


def summarize(contents: CertificateSecret, names: ServerNames, now: dt.datetime) -> StoredCertificates:
    """`names` are those that the leaf must have; empty if they are not known."""
    bundle = bundle_of(contents)
    leaf = _read(contents.leaf.certificate)
    signed = leaf is not None and bool(bundle) and pki.is_signed_by(leaf, bundle[0])
    return StoredCertificates(
        authorities=tuple(map(_summary, bundle)),
        leaf=None if leaf is None else _summary(leaf),
        unusable=leaf_problem(contents.leaf, bundle, names, now),
        changing=len(bundle) > 1 or (leaf is not None and bool(bundle) and not signed),
    )


def trust_problem(leaf: bytes, bundle: bytes) -> str:
    """Why a client with this bundle would reject this certificate; empty if it would accept it."""
    certificate = _read(leaf)
    if certificate is None:
        return "there is no certificate"
    if not bundle:
        return "it is empty"
    try:
        authorities = pki.read_bundle(bundle)
    except CertificateError as error:
        return f"it is {error}"
    if not any(pki.is_signed_by(certificate, authority) for authority in authorities):
        return "none of its CAs has signed the certificate"
    return ""


def _read(pem: bytes) -> x509.Certificate | None:
    try:
        return pki.read_certificate(pem)
    except CertificateError:
        return None


def _summary(certificate: x509.Certificate) -> CertificateSummary:
    begins, expires = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return CertificateSummary(
        name=_common_name(certificate.subject),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        begins=begins,
        expires=expires,
        renewal=renewal_time(certificate),
        names=_names(certificate),
        signer=_common_name(certificate.issuer),
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = map(str, found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)
