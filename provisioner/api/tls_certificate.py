"""The certificate of the REST API: given as files, or issued by Sutler and stored in a folder or a Secret."""

import datetime as dt
import os
from pathlib import Path

from certs import pki
from certs.pki import CertificateError, KeyPair, ServerNames
from certs.rotation import CA_CERTIFICATE, CA_KEY, LEAF_CERTIFICATE, LEAF_KEY, CertificateSecret
from certs.source import CertificateSource
from certs.stores import CertificateStore, advanced
from sutler.errors import SutlerError

_CHECK_SECONDS = 10.0
"""Seconds between two reads of the stored certificate."""
_OVERLAP = dt.timedelta(days=1)
"""The time between a new CA and the first certificate that it signs, in which clients fetch the CA."""


class TlsError(SutlerError):
    pass


class ApiCertificate(CertificateSource):
    """Issues and renews the certificate, unless an administrator has stored one."""

    def __init__(self, store: CertificateStore, names: ServerNames) -> None:
        super().__init__(_CHECK_SECONDS)
        self._store = store
        self._names = names

    async def refresh(self) -> str | None:
        try:
            contents = await self._store.read()
            # A certificate without the key of its CA is renewed by the administrator.
            if contents.authority_key or not contents.leaf.certificate:
                contents = await advanced(self._store, contents, self._names, _is_distributed)
        except SutlerError as error:
            return str(error)
        self._live.load(contents.leaf)
        return self._live.problem()


def _is_distributed(contents: CertificateSecret, now: dt.datetime) -> bool:
    try:
        newest = pki.read_certificate(contents.authorities)
    except CertificateError:
        return False
    return now >= newest.not_valid_before_utc + pki.CLOCK_SKEW + _OVERLAP


class DirectoryStore:
    """A folder with tls.crt and tls.key, as in a mounted Secret, and with ca.crt and ca.key if Sutler issued them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> CertificateSecret:
        return CertificateSecret(
            authorities=self._bytes(CA_CERTIFICATE),
            authority_key=self._bytes(CA_KEY),
            leaf=KeyPair(self._bytes(LEAF_CERTIFICATE), self._bytes(LEAF_KEY)),
        )

    async def write(self, contents: CertificateSecret) -> CertificateSecret:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            for name, data in contents.to_data().items():
                self._replace(name, data)
        except OSError as error:
            raise TlsError(
                f"--tls-folder {self._path} has no tls.crt and tls.key, and Sutler cannot write them: {error.strerror}"
            ) from error
        return contents

    def _bytes(self, name: str) -> bytes:
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise TlsError(f"--tls-folder {self._path}: {name} cannot be read: {error.strerror}") from error

    def _replace(self, name: str, data: bytes) -> None:
        """Replaces the file atomically. Only this user may read keys."""
        fresh = self._path / f".{name}.new"
        secret = name in {CA_KEY, LEAF_KEY}
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        fresh.rename(self._path / name)
