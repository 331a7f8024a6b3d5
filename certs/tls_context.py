"""The TLS context of a server whose certificate changes while it runs."""

import os
import ssl
import time

from certs import pki
from certs.metrics import EXPIRY, RELOAD_FAILURES
from certs.pki import CertificateError, KeyPair
from sutler import log

_log = log.get(__name__)


class ReloadableContext:
    """Give `context` to the server once; `load` changes the certificate of new connections, open ones are unaffected.

    Each pair has its own OpenSSL context, which each new connection gets when it begins. Loaded into the server's only
    context, a torn pair would leave that without any, and an ECDSA pair would be added to an RSA one, not replace it.
    """

    def __init__(self) -> None:
        self.context = _new_context()
        self.context.sni_callback = self._switch_context
        self._current: ssl.SSLContext | None = None
        self._loaded: KeyPair | None = None
        self._rejected: KeyPair | None = None
        self._rejection = ""
        self._expires = 0.0

    def load(self, pair: KeyPair) -> str | None:
        """Serve this pair. If it is torn or unreadable, the previous one stays, and the problem is returned."""
        if pair == self._loaded:
            return None
        if pair == self._rejected:
            return self._rejection
        context = _new_context()
        try:
            certificate = pki.read_certificate(pair.certificate)
            _load(context, pair)
        except (CertificateError, ssl.SSLError) as error:
            self._rejected, self._rejection = pair, f"a certificate that can't be served: {_reason(error)}"
            RELOAD_FAILURES.inc()
            return self._rejection
        self._current, self._loaded, self._rejected = context, pair, None
        self._expires = certificate.not_valid_after_utc.timestamp()
        EXPIRY.set(self._expires)
        _log.info("loaded a certificate", expires=certificate.not_valid_after_utc.isoformat())
        return None

    def problem(self) -> str | None:
        """Why clients would not accept the certificate; None if they would."""
        if self._loaded is None:
            return "no certificate is loaded"
        if time.time() >= self._expires:
            return "the certificate has expired"
        return None

    def _switch_context(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        """Called for every connection, with or without a server name (SNI) of the client."""
        if self._current is not None:
            connection.context = self._current


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Load a pair. OpenSSL reads paths only; memory files need no writable file system and leave no key on a disk."""
    certificate, key = os.memfd_create("certificate"), os.memfd_create("key")
    try:
        os.write(certificate, pair.certificate)
        os.write(key, pair.key)
        # Without a password OpenSSL would ask for it on the terminal, if the key is encrypted, and wait.
        context.load_cert_chain(f"/proc/self/fd/{certificate}", f"/proc/self/fd/{key}", password="")
    finally:
        os.close(certificate)
        os.close(key)


def _reason(error: Exception) -> str:
    return (error.reason or str(error)) if isinstance(error, ssl.SSLError) else str(error)
