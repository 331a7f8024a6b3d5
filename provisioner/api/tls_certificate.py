"""The service's certificate: given as files, or issued by itself and kept in a folder or a Secret."""

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
"""Seconds between two looks at what is stored."""
_OVERLAP = dt.timedelta(days=1)
"""How long a new CA lies beside the old one before anything is signed by it: clients have to fetch it meanwhile."""


class TlsError(SutlerError):
    pass


class ApiCertificate(CertificateSource):
    """Issued by itself unless somebody else has put one there."""

    def __init__(self, store: CertificateStore, names: ServerNames) -> None:
        super().__init__(_CHECK_SECONDS)
        self._store = store
        self._names = names

    async def refresh(self) -> str | None:
        try:
            contents = await self._store.read()
            # A certificate that came without the CA's key is somebody else's to renew.
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
    """tls.crt and tls.key, as a mounted Secret has them, and if they are our own ca.crt and ca.key."""

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
                f"--tls-folder {self._path} has no tls.crt and tls.key, and can't be given any: {error.strerror}"
            ) from error
        return contents

    def _bytes(self, name: str) -> bytes:
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise TlsError(f"--tls-folder {self._path}: {name} can't be read: {error.strerror}") from error

    def _replace(self, name: str, data: bytes) -> None:
        """Whole or not at all; keys are for us alone."""
        fresh = self._path / f".{name}.new"
        secret = name in {CA_KEY, LEAF_KEY}
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        fresh.rename(self._path / name)
