"""A serving certificate that somebody else keeps, such as cert-manager, in a mounted Secret."""

import asyncio
import ssl
from pathlib import Path
from typing import NoReturn

from certs.contents import LEAF_CERTIFICATE, LEAF_KEY
from certs.context import LiveContext
from certs.issue import Pair


class MountedCertificate:
    """The pair `tls.crt` and `tls.key` in a directory.

    It is looked at again and again: a mounted Secret changes by a swapped link, which no watch on the files shows.
    """

    def __init__(self, directory: Path, *, poll_interval: float = 10.0) -> None:
        self._directory = directory
        self._poll_interval = poll_interval
        self._live = LiveContext()
        self._problem: str | None = None

    @property
    def context(self) -> ssl.SSLContext:
        return self._live.context

    def ready(self) -> str | None:
        """Why no client could connect; None if it can."""
        problem = self._live.problem()
        return f"{problem} ({self._problem})" if problem and self._problem else problem

    async def run(self) -> NoReturn:
        while True:
            self.look()
            await asyncio.sleep(self._poll_interval)

    def look(self) -> None:
        try:
            certificate = (self._directory / LEAF_CERTIFICATE).read_bytes()
            key = (self._directory / LEAF_KEY).read_bytes()
        except OSError as error:
            self._problem = f"{error.filename}: {error.strerror}"
            return
        self._problem = None
        self._live.load(Pair(certificate, key))
