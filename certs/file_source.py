"""A serving certificate in files that another program maintains, such as cert-manager's mounted Secret."""

from pathlib import Path

from certs.pki import KeyPair
from certs.rotation import LEAF_CERTIFICATE, LEAF_KEY
from certs.source import CertificateSource


class FileSource(CertificateSource):
    """The pair `tls.crt` and `tls.key` in a directory.

    The files are read at intervals: a mounted Secret changes by a replaced link, which a watch of the files misses.
    """

    def __init__(self, directory: Path, *, poll_interval: float = 10.0) -> None:
        super().__init__(poll_interval)
        self._directory = directory

    async def refresh(self) -> str | None:
        try:
            certificate = (self._directory / LEAF_CERTIFICATE).read_bytes()
            key = (self._directory / LEAF_KEY).read_bytes()
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        problem = self._live.load(KeyPair(certificate, key))
        return f"{self._directory} holds {problem}" if problem else None
