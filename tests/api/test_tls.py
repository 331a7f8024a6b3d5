"""The certificate is issued if there is none, reloaded when it changes, and never replaced if an admin stored it."""

import datetime as dt
from pathlib import Path

import pytest

from certs.managed_source import ManagedSource, trusted_after
from certs.pki import ServerNames, is_signed_by, new_authority, new_leaf, read_certificate
from certs.rotation import CertificateSecret
from certs.stores import CertificateStore, DirectoryStore

NAMES = ServerNames(("localhost", "api.example.com"), ("127.0.0.1",))


def issued(store: CertificateStore, names: ServerNames) -> ManagedSource:
    """As the API has it."""
    return ManagedSource(store, names, is_trusted=trusted_after(dt.timedelta(days=1)), serves_foreign=True)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def test_empty_folder_gets_a_certificate_that_its_own_ca_has_signed(tmp_path: Path) -> None:
    certificate = issued(DirectoryStore(tmp_path / "tls"), NAMES)
    assert "no certificate" in (certificate.ready() or "")
    assert await certificate.refresh() is None
    assert certificate.ready() is None
    leaf, ca = (read_certificate((tmp_path / "tls" / name).read_bytes()) for name in ("tls.crt", "ca.crt"))
    assert is_signed_by(leaf, ca)
    assert {(tmp_path / "tls" / name).stat().st_mode & 0o777 for name in ("ca.key", "tls.key")} == {0o600}


async def test_certificate_stays_while_it_is_good_and_follows_its_names(tmp_path: Path) -> None:
    await issued(DirectoryStore(tmp_path), NAMES).refresh()
    before = (tmp_path / "tls.crt").read_bytes()
    await issued(DirectoryStore(tmp_path), NAMES).refresh()
    assert (tmp_path / "tls.crt").read_bytes() == before
    await issued(DirectoryStore(tmp_path), ServerNames(("other.example.com",))).refresh()
    assert (tmp_path / "tls.crt").read_bytes() != before
    assert (tmp_path / "ca.crt").exists()


async def test_certificate_of_others_is_served_and_never_touched(tmp_path: Path) -> None:
    pair = new_leaf(new_authority(now()), ServerNames(("elsewhere.example.com",)), now())
    (tmp_path / "tls.crt").write_bytes(pair.certificate)
    (tmp_path / "tls.key").write_bytes(pair.key)
    certificate = issued(DirectoryStore(tmp_path), NAMES)
    assert await certificate.refresh() is None
    assert not (tmp_path / "ca.key").exists()
    assert (tmp_path / "tls.crt").read_bytes() == pair.certificate


async def test_invalid_certificate_keeps_the_former_one(tmp_path: Path) -> None:
    pair = new_leaf(new_authority(now()), NAMES, now())
    (tmp_path / "tls.crt").write_bytes(pair.certificate)
    (tmp_path / "tls.key").write_bytes(pair.key)
    certificate = issued(DirectoryStore(tmp_path), NAMES)
    await certificate.refresh()
    (tmp_path / "tls.crt").write_bytes(pair.certificate[:100])
    await certificate.refresh()
    assert certificate.ready() is None


async def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problem = await issued(DirectoryStore(tmp_path / "file"), NAMES).refresh()
    assert str(tmp_path / "file") in (problem or "")


async def test_leaf_waits_for_a_new_ca_to_be_known() -> None:
    """Clients keep the CA in a file: what a CA of this minute has signed, they would not trust."""
    old_time = now() - dt.timedelta(days=300)
    old = new_authority(old_time)
    leaf = new_leaf(old, NAMES, now() - dt.timedelta(days=1))
    stored = CertificateSecret(old.certificate, old.key, leaf)

    class Store:
        async def read(self) -> CertificateSecret:
            return stored

        async def write(self, contents: CertificateSecret) -> CertificateSecret:
            nonlocal stored
            stored = contents
            return contents

    certificate = issued(Store(), NAMES)
    await certificate.refresh()
    assert stored.authorities != old.certificate, "the old CA is due"
    assert stored.authorities.endswith(old.certificate), "and still trusted"
    assert stored.leaf == leaf, "nothing is signed by the new one yet"
    await certificate.refresh()
    assert stored.leaf == leaf


@pytest.mark.parametrize("missing", ["tls.crt", "tls.key"])
async def test_certificate_without_its_key_is_reported(tmp_path: Path, missing: str) -> None:
    pair = new_leaf(new_authority(now()), NAMES, now())
    (tmp_path / "tls.crt").write_bytes(pair.certificate)
    (tmp_path / "tls.key").write_bytes(pair.key)
    (tmp_path / missing).unlink()
    certificate = issued(DirectoryStore(tmp_path), NAMES)
    if missing == "tls.key":
        assert await certificate.refresh() is not None
        assert certificate.ready() is not None
    else:
        assert await certificate.refresh() is None
