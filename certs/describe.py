"""What certificates say, in plain values for people and programs. Pure; keys are looked at and never shown."""

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from certs import pki
from certs.pki import CertificateError, ServerNames
from certs.rotation import CertificateSecret, bundle_of, leaf_problem


@dataclass(frozen=True)
class CertificateSummary:
    """One certificate."""

    name: str
    """The common name."""
    fingerprint: str
    """SHA-256, hexadecimal."""
    begins: dt.datetime
    expires: dt.datetime
    renewal: dt.datetime
    """When two thirds of its life are over."""
    names: tuple[str, ...]
    """DNS names and addresses that it is for."""
    signer: str
    """The common name of the CA that signed it."""


@dataclass(frozen=True)
class StoredCertificates:
    """What the certificate's Secret holds."""

    authorities: tuple[CertificateSummary, ...]
    """The first one signs, the others are still trusted."""
    leaf: CertificateSummary | None
    unusable: str
    """Why nobody can be served with the leaf; empty if it is fine."""
    changing: bool
    """A change of CA is under way: there are two, or the leaf is not the first one's yet."""


def summarize(contents: CertificateSecret, names: ServerNames, now: dt.datetime) -> StoredCertificates:
    """`names` are what the leaf has to be for; none, where nobody knows."""
    bundle = bundle_of(contents)
    leaf = _read(contents.leaf.certificate)
    signed = leaf is not None and bool(bundle) and pki.is_signed_by(leaf, bundle[0])
    return StoredCertificates(
        authorities=tuple(map(_described, bundle)),
        leaf=None if leaf is None else _described(leaf),
        unusable=leaf_problem(contents.leaf, bundle, names, now),
        changing=len(bundle) > 1 or (leaf is not None and bool(bundle) and not signed),
    )


def trust_problem(leaf: bytes, bundle: bytes) -> str:
    """Why a client that has this bundle would refuse this certificate; empty if it would not."""
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


def _described(certificate: x509.Certificate) -> CertificateSummary:
    begins, expires = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return CertificateSummary(
        name=_common_name(certificate.subject),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        begins=begins,
        expires=expires,
        renewal=begins + (expires - begins) * 2 / 3,
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
