"""The service's certificate: given as files, or issued by itself and kept in a folder or a Secret."""

import asyncio
import datetime as dt
import os
import ssl
from pathlib import Path
from typing import NoReturn, Protocol

from certs import issue
from certs.contents import CA_CERTIFICATE, CA_KEY, LEAF_CERTIFICATE, LEAF_KEY, Contents, next_step
from certs.context import LiveContext
from certs.issue import CertificateError, Names, Pair
from sutler import log
from sutler.errors import SutlerError

_log = log.get(__name__)

_LOOK = 10.0
"""Seconds between two looks at what is stored."""
_KNOWN_AFTER = dt.timedelta(days=1)
"""How long a new CA lies beside the old one before anything is signed by it: clients have to fetch it meanwhile."""


class TlsError(SutlerError):
    pass


class Store(Protocol):
    async def read(self) -> Contents: ...

    async def write(self, contents: Contents) -> Contents: ...


class Certificate:
    """Give `context` to the server and keep `run()` running beside it."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names
        self._live = LiveContext()
        self._problem: str | None = None

    @property
    def context(self) -> ssl.SSLContext:
        return self._live.context

    def ready(self) -> str | None:
        """Why nobody could connect; None if they can."""
        because = f" ({self._problem})" if self._problem else ""
        return f"{problem}{because}" if (problem := self._live.problem()) else None

    async def run(self) -> NoReturn:
        while True:
            problem = await self.refresh()
            if problem and problem != self._problem:
                _log.warning("certificate not up to date, will go on trying", reason=problem)
            self._problem = problem
            await asyncio.sleep(_LOOK)

    async def refresh(self) -> str | None:
        """One look; returns what went wrong."""
        try:
            contents = await self._store.read()
            now = dt.datetime.now(dt.UTC)
            # A certificate that came without the CA's key is somebody else's to renew.
            ours = bool(contents.authority_key) or not contents.leaf.certificate
            if ours and (step := next_step(contents, self._names, now, trusted=_known(contents, now))):
                _log.info("certificate changes", why=step.why)
                contents = await self._store.write(step.contents)
        except SutlerError as error:
            return str(error)
        self._live.load(contents.leaf)
        return self._live.problem()


def _known(contents: Contents, now: dt.datetime) -> bool:
    try:
        newest = issue.read_certificate(contents.authorities)
    except CertificateError:
        return False
    return now >= newest.not_valid_before_utc + issue.CLOCK_SKEW + _KNOWN_AFTER


class Folder:
    """tls.crt and tls.key, as a mounted Secret has them, and if they are our own ca.crt and ca.key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Contents:
        return Contents(
            authorities=self._bytes(CA_CERTIFICATE),
            authority_key=self._bytes(CA_KEY),
            leaf=Pair(self._bytes(LEAF_CERTIFICATE), self._bytes(LEAF_KEY)),
        )

    async def write(self, contents: Contents) -> Contents:
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
