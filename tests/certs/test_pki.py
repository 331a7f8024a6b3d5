import datetime as dt
import ipaddress
import ssl
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from certs import pki
from certs.pki import CertificateError, ServerNames
from certs.rotation import is_due
from certs.tls_context import ReloadableContext
from tests.certs.handshake import handshake, unverified

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
NAMES = ServerNames(("sutler-webhook.sutler-system.svc",), ("127.0.0.1", "::1"))


def test_leaf_names_everything_it_is_for() -> None:
    leaf = pki.read_certificate(pki.new_leaf(pki.new_authority(NOW), NAMES, NOW).certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["sutler-webhook.sutler-system.svc"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    assert pki.has_names(leaf, NAMES)
    assert not pki.has_names(leaf, ServerNames(("other.sutler-system.svc",)))


def test_leaf_is_p256_and_signed_by_its_authority_only() -> None:
    authority, other = pki.new_authority(NOW), pki.new_authority(NOW)
    leaf = pki.read_certificate(pki.new_leaf(authority, NAMES, NOW).certificate)
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert pki.is_signed_by(leaf, pki.read_certificate(authority.certificate))
    assert not pki.is_signed_by(leaf, pki.read_certificate(other.certificate))


def test_certificates_are_valid_for_a_clock_that_is_behind() -> None:
    leaf = pki.read_certificate(pki.new_leaf(pki.new_authority(NOW), NAMES, NOW).certificate)
    assert pki.is_valid(leaf, NOW - dt.timedelta(minutes=59))
    assert not pki.is_valid(leaf, NOW - dt.timedelta(minutes=61))
    assert not pki.is_valid(leaf, NOW + pki.LEAF_LIFETIME)


def test_leaf_never_outlives_its_authority() -> None:
    authority = pki.new_authority(NOW)
    late = NOW + pki.AUTHORITY_LIFETIME - dt.timedelta(days=1)
    leaf = pki.read_certificate(pki.new_leaf(authority, NAMES, late).certificate)
    assert leaf.not_valid_after_utc == NOW + pki.AUTHORITY_LIFETIME


@pytest.mark.parametrize(
    ("after", "due"),
    [
        (dt.timedelta(0), False),
        (dt.timedelta(days=4), False),
        (dt.timedelta(days=5), True),
        (dt.timedelta(days=400), True),
        (dt.timedelta(days=-1), True),  # the clock was set back: no client would accept it yet
    ],
)
def test_renewal_is_due_after_two_thirds_of_the_life(after: dt.timedelta, due: bool) -> None:
    leaf = pki.read_certificate(pki.new_leaf(pki.new_authority(NOW), NAMES, NOW).certificate)
    assert is_due(leaf, NOW + after) is due


def test_a_client_that_trusts_the_authority_accepts_the_leaf() -> None:
    authority = pki.new_authority(NOW)
    live = ReloadableContext()
    live.load(pki.new_leaf(authority, NAMES, NOW))
    client = ssl.create_default_context(cadata=authority.certificate.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert handshake(live.context, client, "sutler-webhook.sutler-system.svc").version() == "TLSv1.3"
    assert handshake(live.context, client, "127.0.0.1").version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(live.context, client, "elsewhere.sutler-system.svc")


@pytest.mark.parametrize(("newest", "outcome"), [("TLSv1_2", "TLSv1.2"), ("TLSv1_1", None)])
def test_tls_1_2_is_the_oldest_that_is_spoken(newest: str, outcome: str | None) -> None:
    live = ReloadableContext()
    live.load(pki.new_leaf(pki.new_authority(NOW), NAMES, NOW))
    client = unverified()
    client.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # to offer an old version is what is tested
        client.minimum_version = ssl.TLSVersion.TLSv1_1
        client.maximum_version = ssl.TLSVersion[newest]
    if outcome:
        assert handshake(live.context, client, NAMES.dns[0]).version() == outcome
    else:
        with pytest.raises(ssl.SSLError):
            handshake(live.context, client, NAMES.dns[0])


@pytest.mark.parametrize(
    "garbage", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_unreadable_certificate_is_an_error_of_ours(garbage: bytes) -> None:
    with pytest.raises(CertificateError, match="not a PEM certificate"):
        pki.read_certificate(garbage)


def test_key_never_shows_in_an_error_or_a_repr() -> None:
    pair = pki.new_authority(NOW)
    assert b"PRIVATE" in pair.key
    assert "PRIVATE" not in repr(pair)
    torn = pair.key[: len(pair.key) // 2]
    with pytest.raises(CertificateError) as caught:
        pki.read_key(torn)
    assert "BEGIN" not in str(caught.value)
