"""The serving certificate of a running webhook: made, kept, published and renewed by the webhook itself."""

import datetime as dt
import time
from collections.abc import Sequence

from certs import pki
from certs.ca_bundle import PublishedBundle, publish
from certs.pki import CertificateError, ServerNames
from certs.rotation import CertificateSecret
from certs.source import CertificateSource
from certs.stores import SecretStore, apply_next_step
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import KubeError

_log = log.get(__name__)


class ManagedSource(CertificateSource):
    """Takes at most one step of a renewal at each look, and sees to it that the API server trusts what is served.

    Args:
        client: With the right to get and update the Secret, and to get and patch the webhook configuration.
        namespace: Sutler's own.
        secret_name: The Secret that all replicas share.
        dns_names: What the API server will call the webhook by: `<service>.<namespace>.svc`, or a URL's host.
        ips: The same, for a URL with an address.
        webhook_configuration: The MutatingWebhookConfiguration whose caBundle is kept up to date.
        poll_interval: Seconds between two looks at the Secret, the configuration and the clock. A new CA is used after
            it has been seen in the configuration for at least this long, so that every API server has seen it too.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        secret_name: str,
        dns_names: Sequence[str],
        ips: Sequence[str],
        webhook_configuration: str = "sutler-webhook",
        poll_interval: float = 10.0,
    ) -> None:
        super().__init__(poll_interval)
        self._client = client
        self._store = SecretStore(client, namespace, secret_name)
        self._names = ServerNames(tuple(dns_names), tuple(ips))
        self._configuration = webhook_configuration
        self._published = False
        self._seen: tuple[bytes, float] | None = None

    def ready(self) -> str | None:
        """Why the API server could not call the webhook; None if it can.

        Once it could, only an expired certificate changes that: the API server may be away without harm.
        """
        if problem := super().ready():
            return problem
        if not self._published:
            return f"the CA is not in MutatingWebhookConfiguration {self._configuration} yet{self._because()}"
        return None

    async def refresh(self) -> str | None:
        try:
            contents = await apply_next_step(self._store, await self._store.read(), self._names, self._trusted)
        except KubeError as error:
            return str(error)
        # Whatever comes of publishing, a renewed leaf is served.
        problem = self._live.load(contents.leaf)
        try:
            await self._publish(contents.authorities)
        except (KubeError, CertificateError) as error:
            return str(error)
        return f"its Secret holds {problem}" if problem else None

    def _trusted(self, contents: CertificateSecret, _: dt.datetime) -> bool:
        """Whether this very bundle has been in the webhook configuration for long enough."""
        if self._seen is None or self._seen[0] != contents.authorities:
            return False
        return time.monotonic() - self._seen[1] >= self._poll_interval

    async def _publish(self, bundle: bytes) -> None:
        pki.read_bundle(bundle)  # never publish what another hand garbled; the next round repairs it
        outcome = await publish(self._client, self._configuration, bundle)
        if outcome is PublishedBundle.WRITTEN:
            _log.info("CA published", configuration=self._configuration)
        if outcome is PublishedBundle.ABSENT and not self._published:
            _log.warning("no webhook configuration to publish the CA in", configuration=self._configuration)
        if outcome is PublishedBundle.WRITTEN or self._seen is None or self._seen[0] != bundle:
            self._seen = (bundle, time.monotonic())
        self._published = True
