"""The TLS context of a server whose certificate changes while it runs."""

import os
import ssl
import time

from prometheus_client import Counter, Gauge

from certs import pki
from certs.pki import CertificateError, KeyPair
from sutler import log
from sutler.metrics import REGISTRY

EXPIRY = Gauge(
    "sutler_certificate_expiry_timestamp_seconds",
    "When the certificate that is being served expires.",
    registry=REGISTRY,
)
RELOAD_FAILURES = Counter(
    "sutler_certificate_reload_failures_total",
    "Certificates that could not be loaded; the one before goes on being served.",
    registry=REGISTRY,
)

_log = log.get(__name__)


class ReloadableContext:
    """Give `context` to the server once; `load` changes what new connections get, open ones stay as they are.

    Each pair has an OpenSSL context of its own, to which each new connection is handed over as it begins. Loaded
    into the one context that the server holds, a torn pair would leave that without any, and an ECDSA pair would not
    replace an RSA one but stand beside it.
    """

    def __init__(self) -> None:
        self.context = _new_context()
        self.context.sni_callback = self._hand_over
        self._current: ssl.SSLContext | None = None
        self._loaded: KeyPair | None = None
        self._refused: KeyPair | None = None
        self._why_refused = ""
        self._expires = 0.0

    def load(self, pair: KeyPair) -> str | None:
        """Serves this pair from now on, or, if it is torn or unreadable, goes on with the one before and says why."""
        if pair == self._loaded:
            return None
        if pair == self._refused:
            return self._why_refused
        context = _new_context()
        try:
            certificate = pki.read_certificate(pair.certificate)
            _load(context, pair)
        except (CertificateError, ssl.SSLError) as error:
            self._refused, self._why_refused = pair, f"a certificate that can't be served: {_reason(error)}"
            RELOAD_FAILURES.inc()
            return self._why_refused
        self._current, self._loaded, self._refused = context, pair, None
        self._expires = certificate.not_valid_after_utc.timestamp()
        EXPIRY.set(self._expires)
        _log.info("certificate loaded", expires=certificate.not_valid_after_utc.isoformat())
        return None

    def problem(self) -> str | None:
        """Why no client would accept what is served; None if all is well."""
        if self._loaded is None:
            return "no certificate is loaded"
        if time.time() >= self._expires:
            return "the certificate has expired"
        return None

    def _hand_over(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        """Called for every connection, whether or not the client sends the name it wants."""
        if self._current is not None:
            connection.context = self._current


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(context: ssl.SSLContext, pair: KeyPair) -> None:
    """OpenSSL takes paths only. Memory files need no writable file system and leave no key on a disk."""
    certificate, key = os.memfd_create("certificate"), os.memfd_create("key")
    try:
        os.write(certificate, pair.certificate)
        os.write(key, pair.key)
        # Without a password OpenSSL would ask the terminal for that of an encrypted key, and wait.
        context.load_cert_chain(f"/proc/self/fd/{certificate}", f"/proc/self/fd/{key}", password="")
    finally:
        os.close(certificate)
        os.close(key)


def _reason(error: Exception) -> str:
    return (error.reason or str(error)) if isinstance(error, ssl.SSLError) else str(error)
