"""Errors of unusable keys: they name the type of the key, and never quote it."""

import base64
import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.api import problem
from provisioner.ceph import cephx_keys
from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings, Connection
from provisioner.ceph.errors import CephError, InvalidArgument, KeyUnusable, NotConnected
from tests.cluster import Ceph, ceph_programs


def fresh(kind: int, length: int) -> str:
    """The same for each worker: the names of tests hold keys."""
    secret = hashlib.shake_128(bytes([kind])).digest(length)
    return base64.b64encode(struct.pack("<HIIH", kind, 1_790_000_000, 0, length) + secret).decode()


AES, AES256K, NEWER = fresh(1, 16), fresh(2, 32), fresh(3, 64)
READS_AES256K = ceph_programs.clients_know_aes256k()
REFUSED = ("the monitors reject its key", "auth_allowed_ciphers")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (AES, 1),
        (AES256K, 2),
        (NEWER, 3),
        (AES[:-4], None),
        (AES256K[:-4], None),
        (f"{AES}AAAA", None),
        ("AQ==", None),
        ("", None),
        ("hello", None),
        ("schlüssel", None),
        (base64.b64encode(struct.pack("<HIIH", 1, 0, 0, 32) + bytes(32)).decode(), None),
    ],
)
def test_type_of_a_key_is_read_from_the_key(key: str, kind: int | None) -> None:
    assert cephx_keys.key_type(key) == kind


def test_key_begins_with_the_type() -> None:
    assert (AES[:2], AES256K[:2]) == ("AQ", "Ag")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f'[client.admin]\n key = {AES}\n caps mon = "allow *"\n', AES),
        (f"[client.other]\nkey={AES256K}\n[client.admin]\nkey={AES}", AES),
        (f"[client.admin]\n[client.other]\nkey = {AES}", None),
        (f'\t[client.admin]\n\tkey = "{AES}"\n', AES),
        (f"[client.admin2]\nkey = {AES}", None),
        ("", None),
    ],
)
def test_key_of_a_user_is_found_in_a_keyring(text: str, found: str | None) -> None:
    assert cephx_keys.find_in_keyring(text, "admin") == found


def in_settings(key: str) -> Callable[[ClusterSettings, Path], ClusterSettings]:
    return lambda settings, _: replace(settings, key=key)


def in_a_file(text: str, option: str = "keyring") -> Callable[[ClusterSettings, Path], ClusterSettings]:
    def prepared(settings: ClusterSettings, folder: Path) -> ClusterSettings:
        file, conf = folder / "file", folder / "ceph.conf"
        file.write_text(text)
        lines = [line for line in Path(settings.conf).read_text().splitlines() if not line.startswith("keyring")]
        conf.write_text("\n".join([*lines, ""]).replace("[global]", f"[global]\n{option} = {file}"))
        return replace(settings, conf=str(conf))

    return prepared


def without(option: str, line: str = "") -> Callable[[ClusterSettings, Path], ClusterSettings]:
    def prepared(settings: ClusterSettings, folder: Path) -> ClusterSettings:
        lines = Path(settings.conf).read_text().splitlines()
        (folder / "ceph.conf").write_text("\n".join(line if one.startswith(option) else one for one in lines) + "\n")
        return replace(settings, conf=str(folder / "ceph.conf"))

    return prepared


def unread(*says: str) -> tuple[str, ...]:
    """Of a key of type aes256k: a librados that reads it leaves it to the monitors, which do not know it."""
    own = f"this librados ({ceph_programs.version_of_this_machine()}) does not"
    return (*REFUSED, "keys of its type, aes256k") if READS_AES256K else (*says, own)


@pytest.mark.parametrize(
    ("prepared", "says"),
    [
        (in_settings(AES256K), unread("userKey or ceph.conf is of type aes256k", "--key-type aes", "20.2.4")),
        (in_a_file(f"[client.admin]\nkey = {AES256K}\n"), unread("/file is of type aes256k", "auth_allowed_ciphers")),
        (in_a_file(f"{AES256K}\n", "keyfile"), unread("/file is of type aes256k")),
        (in_settings(NEWER), ("of type 3, which is newer",)),
        (in_settings(AES), (*REFUSED, "is of type aes and")),
        (in_a_file(f"[client.admin]\nkey = {AES}\n"), REFUSED),
        (in_settings("hello"), ("not a cephx key", "ceph auth get-key client.admin")),
        (in_settings(AES[:-4]), ("not a cephx key",)),
        (in_a_file("[client.admin]\nkey = hello\n"), ("not a cephx key",)),
        (in_a_file("nonsense\n"), ("is not a readable keyring",)),
        (in_a_file(""), ("/file has no key for client.admin",)),
        (lambda settings, _: replace(settings, user="stranger"), ("has no key", "ceph auth get client.stranger")),
        (
            lambda settings, _: replace(settings, conf="", monitors=("nowhere.invalid:x",), key=AES),
            ("mon host",),
        ),
        (without("mon host"), ("mon host",)),
    ],
)
def test_connection_error_explains_the_key(
    settings: ClusterSettings,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    prepared: Callable[[ClusterSettings, Path], ClusterSettings],
    says: tuple[str, ...],
) -> None:
    with pytest.raises(CephError) as caught:
        Connection(prepared(settings, tmp_path))
    assert isinstance(caught.value, KeyUnusable), caught.value
    assert not isinstance(caught.value, InvalidArgument)
    text = str(caught.value)
    assert text.startswith("connecting to Ceph cluster default as client.")
    assert [one for one in says if one not in text] == []
    printed = text + "".join(capfd.readouterr())
    assert [key for key in (AES, AES256K, NEWER, AES[:-4]) if key in printed] == []


@pytest.mark.parametrize(
    ("version", "readable"),
    [
        ("16.2.15", False),
        ("18.2.7", False),
        ("19.2.5", False),
        ("19.2.6", True),
        ("20.2.3", False),
        ("20.2.4", True),
        ("21.2.0", True),
        ("", False),
    ],
)
def test_key_that_this_librados_reads_is_not_reported_as_unsupported(
    version: str, readable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cephx_keys, "librados_version", lambda: version)
    text = cephx_keys.explain_unusable(AES256K, "admin", "x")
    assert ("check the monitors' addresses" in text, "does not support" in text) == (readable, not readable)
    assert cephx_keys.can_read(1, version)
    assert not cephx_keys.can_read(3, version)


@pytest.mark.parametrize(
    ("prepared", "says"),
    [
        (without("keyring", "keyring = /nowhere/keyring"), "no key for client.admin: /nowhere/keyring does not exist"),
        (without("keyring", "keyfile = /nowhere/key"), "no key for client.admin: /nowhere/key does not exist"),
        (lambda settings, _: replace(settings, conf="/nowhere/conf"), "no configuration file /nowhere/conf"),
    ],
)
def test_missing_file_is_named(
    settings: ClusterSettings,
    tmp_path: Path,
    prepared: Callable[[ClusterSettings, Path], ClusterSettings],
    says: str,
) -> None:
    with pytest.raises(NotConnected, match=says) as caught:
        Connection(prepared(settings, tmp_path))
    assert not isinstance(caught.value, KeyUnusable), "which makes it unready"


def test_unreadable_configuration_is_not_an_invalid_request(settings: ClusterSettings, tmp_path: Path) -> None:
    broken = tmp_path / "ceph.conf"
    broken.write_text("[global\nmon host = \x00\n")
    with pytest.raises(NotConnected):
        Connection(replace(settings, conf=str(broken)))


async def test_key_problem_lasts_until_the_key_is_replaced(
    settings: ClusterSettings, tmp_path: Path, ceph: Ceph
) -> None:
    file = tmp_path / "file"
    cluster = CephCluster(in_a_file(f"[client.admin]\nkey = {AES256K}\n")(settings, tmp_path))
    with pytest.raises(KeyUnusable):
        await cluster.fsid()
    assert "aes256k" in str(cluster.key_problem)
    file.write_text((ceph.state / "keyring").read_text())
    await cluster._connect()
    assert cluster.key_problem is None
    await cluster.close()


def test_key_problem_is_not_reported_as_forbidden() -> None:
    assert problem.from_error(KeyUnusable("x", code=13)).kind.status == 503
    assert problem.from_error(NotConnected("x", code=2)).kind.status == 503
