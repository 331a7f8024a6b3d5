"""Pairs in a directory that change as a mounted Secret does, and as nothing should."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs import pki
from certs.file_source import FileSource
from certs.metrics import RELOAD_FAILURES
from certs.pki import KeyPair, ServerNames
from tests.certs.handshake import handshake, unverified
from tests.certs.mounts import mount
from tests.webhook.server_fixture import until

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
NAMES = ServerNames(("sutler-webhook.sutler-system.svc",))
AUTHORITY = pki.new_authority(NOW)
UNSERVABLE = "no certificate is loaded ({} holds a certificate that can't be served: "


def pair() -> KeyPair:
    return pki.new_leaf(AUTHORITY, NAMES, NOW)


def der(pair: KeyPair) -> bytes:
    return pki.read_certificate(pair.certificate).public_bytes(Encoding.DER)


def served(mounted: FileSource) -> bytes | None:
    return handshake(mounted.context, unverified(), NAMES.dns[0]).getpeercert(binary_form=True)


def failures() -> float:
    return float(RELOAD_FAILURES._value.get())


async def test_nothing_mounted_says_which_file_is_missing(tmp_path: Path) -> None:
    mounted = FileSource(tmp_path)
    await mounted.check()
    assert mounted.ready() == f"no certificate is loaded ({tmp_path}/tls.crt: No such file or directory)"
    with pytest.raises(ssl.SSLError):
        served(mounted)


async def test_mounted_pair_is_served_and_followed(tmp_path: Path) -> None:
    mounted = FileSource(tmp_path)
    for _ in range(20):
        current = pair()
        mount(tmp_path, current)
        await mounted.check()
        assert mounted.ready() is None
        assert served(mounted) == der(current)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tls.key", pair().key),  # the other half has not come yet
        ("tls.crt", pair().certificate),
        ("tls.crt", b""),
        ("tls.crt", pair().certificate[:300]),
        ("tls.key", b"garbage"),
        ("tls.key", None),
        ("tls.crt", None),
    ],
    ids=["torn key", "torn certificate", "empty", "truncated", "garbage", "key missing", "certificate missing"],
)
async def test_old_pair_goes_on_being_served_beside_a_bad_one(tmp_path: Path, name: str, content: bytes | None) -> None:
    mounted, good = FileSource(tmp_path), pair()
    mount(tmp_path, good)
    await mounted.check()
    before = failures()
    file = tmp_path / "..data" / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    for _ in range(3):
        await mounted.check()
        assert served(mounted) == der(good)
        assert mounted.ready() is None
    # Counted once for each bad pair, not at each look.
    assert failures() - before == (0 if content is None else 1)

    renewed = pair()
    mount(tmp_path, renewed)
    await mounted.check()
    assert served(mounted) == der(renewed)


async def test_another_kind_of_key_takes_over_wholly(tmp_path: Path) -> None:
    """A client that can do both must not get the old one of the other kind."""
    mounted, ecdsa = FileSource(tmp_path), pair()
    for current in (rsa_pair(), ecdsa, rsa_pair()):
        mount(tmp_path, current)
        await mounted.check()
        assert served(mounted) == der(current)


async def test_expired_certificate_is_not_ready(tmp_path: Path) -> None:
    long_ago = NOW - dt.timedelta(days=30)
    mount(tmp_path, pki.new_leaf(pki.new_authority(long_ago), NAMES, long_ago))
    mounted = FileSource(tmp_path)
    await mounted.check()
    assert mounted.ready() == "the certificate has expired"


async def test_encrypted_key_is_refused_without_a_prompt_for_its_password(tmp_path: Path) -> None:
    plain = pair()
    key = pki.read_key(plain.key).private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    mount(tmp_path, KeyPair(plain.certificate, key))
    mounted = FileSource(tmp_path)
    await mounted.check()
    assert str(mounted.ready()).startswith(UNSERVABLE.format(tmp_path))


async def test_pair_that_is_torn_at_the_start_is_reported_and_read_again_soon(tmp_path: Path) -> None:
    mounted = FileSource(tmp_path, poll_interval=3600)
    mount(tmp_path, KeyPair(pair().certificate, pair().key))
    running = asyncio.create_task(mounted.run())
    try:
        await until(lambda: str(mounted.ready()).startswith(UNSERVABLE.format(tmp_path)), "the first look")
        mount(tmp_path, pair())
        await until(lambda: mounted.ready() is None, "the pair that is whole")
    finally:
        running.cancel()


def rsa_pair() -> KeyPair:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAMES.dns[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    format_, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return KeyPair(certificate.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, format_, encryption))
