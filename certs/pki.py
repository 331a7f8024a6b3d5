"""Makes and parses keys and certificates. Pure: no I/O; the time is an argument.

All keys are ECDSA P-256: every TLS library since 2010 supports it, and a handshake costs a tenth of one with RSA.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sutler.errors import SutlerError

AUTHORITY_LIFETIME = dt.timedelta(days=365)
"""Lifetime of the CA. It is long, because a new CA has to reach the API server before it may be used."""

LEAF_LIFETIME = dt.timedelta(days=7)
"""Lifetime of the serving certificate. It is short: the key is in a Secret, and renewals stay exercised."""

CLOCK_SKEW = dt.timedelta(hours=1)
"""How far the API server's clock may be behind: certificates are valid from so long before they are made."""


class CertificateError(SutlerError):
    """A certificate or key can't be read or stored, or they do not belong together."""


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class ServerNames:
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()

    def general_names(self) -> list[x509.GeneralName]:
        return [
            *(x509.DNSName(name) for name in self.dns),
            *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in self.ips),
        ]


def new_authority(now: dt.datetime) -> KeyPair:
    """Make a self-signed CA. Its name has the serial number, so that two CAs in one bundle differ."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"sutler-webhook-ca-{serial:x}"[:64])])
    certificate = (
        _builder(name, name, key.public_key(), serial, now=now, until=now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(_pem(certificate), _key_pem(key))


def new_leaf(authority: KeyPair, names: ServerNames, now: dt.datetime) -> KeyPair:
    """Make a serving certificate. It expires no later than its CA."""
    ca, ca_key = read_certificate(authority.certificate), read_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    # Clients read the alternative names only. The common name is informative, and limited to 64 characters.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sutler-webhook")])
    until = min(now + LEAF_LIFETIME, ca.not_valid_after_utc)
    certificate = (
        _builder(name, ca.subject, key.public_key(), x509.random_serial_number(), now=now, until=until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names.general_names()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    return KeyPair(_pem(certificate), _key_pem(key))


def is_valid(certificate: x509.Certificate, now: dt.datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def has_names(certificate: x509.Certificate, names: ServerNames) -> bool:
    """Whether the certificate has all these names."""
    try:
        has = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return all(name in has for name in names.general_names())


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def is_pair(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    """Whether the key belongs to the certificate. It does not if only one half of a pair was replaced."""
    return certificate.public_key() == key.public_key()


def read_certificate(pem: bytes) -> x509.Certificate:
    return read_bundle(pem)[0]


def read_bundle(pem: bytes) -> list[x509.Certificate]:
    """Parse all certificates of a PEM text, at least one. Raises CertificateError."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateError(f"not a PEM certificate ({len(pem)} bytes)") from error


def read_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Parse the CA's key, which must be one of `new_authority`. The CertificateError never quotes the text."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError(f"not a PEM private key ({len(pem)} bytes)") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"a private key of type {type(key).__name__} where ECDSA is expected")
    return key


def write_bundle(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(_pem(certificate) for certificate in certificates)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    *,
    now: dt.datetime,
    until: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
