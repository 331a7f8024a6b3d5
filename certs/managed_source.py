"""A certificate that Sutler issues and renews itself, with the CA that signs it."""

import datetime as dt
from collections.abc import Callable

from certs import pki
from certs.ca_bundle import BundlePublisher
from certs.pki import CertificateError, ServerNames
from certs.rotation import CertificateSecret
from certs.source import CertificateSource
from certs.stores import CertificateStore, apply_next_step
from sutler.errors import SutlerError

IsTrusted = Callable[[CertificateSecret, dt.datetime], bool]
"""Whether clients trust the signing CA at this time, so that leaves may be signed by it."""


class ManagedSource(CertificateSource):
    """Takes at most one step of a renewal in each refresh, and publishes the CA where there is a publisher.

    Args:
        store: Where the CA and the leaf are stored.
        names: The names by which clients call the server.
        is_trusted: When clients trust the signing CA; the publisher's if there is one.
        publisher: Publishes the CA in the webhook configuration.
        serves_foreign: Whether a stored certificate without its CA's key belongs to its owner and is only served.
            Otherwise it is replaced.
        poll_interval: Seconds between two reads of the store.
    """

    def __init__(
        self,
        store: CertificateStore,
        names: ServerNames,
        *,
        is_trusted: IsTrusted,
        publisher: BundlePublisher | None = None,
        serves_foreign: bool = False,
        poll_interval: float = 10.0,
    ) -> None:
        super().__init__(poll_interval)
        self._store = store
        self._names = names
        self._is_trusted = is_trusted
        self._publisher = publisher
        self._serves_foreign = serves_foreign

    def ready(self) -> str | None:
        """Why clients could not connect; None if they can.

        After the first success only an expired certificate changes that: the API server may be unreachable.
        """
        if problem := super().ready():
            return problem
        problem = self._publisher.ready() if self._publisher else None
        return problem + self._because() if problem else None

    async def refresh(self) -> str | None:
        try:
            contents = await self._store.read()
            foreign = self._serves_foreign and contents.leaf.certificate and not contents.authority_key
            if not foreign:
                contents = await apply_next_step(self._store, contents, self._names, self._is_trusted)
        except SutlerError as error:
            return str(error)
        # A renewed leaf is served also if the CA can't be published.
        problem = self._live.load(contents.leaf)
        if self._publisher is not None:
            try:
                await self._publisher.publish(contents.authorities)
            except SutlerError as error:
                return str(error)
        return f"{self._store} holds {problem}" if problem else None


def trusted_after(delay: dt.timedelta) -> IsTrusted:
    """Trust by time: a new CA stays beside the old one for so long, during which clients have to fetch it."""

    def is_trusted(contents: CertificateSecret, now: dt.datetime) -> bool:
        try:
            newest = pki.read_certificate(contents.authorities)
        except CertificateError:
            return False
        return now >= newest.not_valid_before_utc + pki.CLOCK_SKEW + delay

    return is_trusted
