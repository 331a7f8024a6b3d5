"""CA injection: makes a CA bundle the caBundle of every webhook of one MutatingWebhookConfiguration."""

import base64
import datetime as dt
import time
from enum import Enum, auto

from certs import pki
from certs.rotation import CertificateSecret
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS
from sutler.typedefs import Json

_log = log.get(__name__)


class PublishedBundle(Enum):
    """The outcome of one attempt to publish."""

    SEEN = auto()
    """The bundle was there already."""
    WRITTEN = auto()
    """The bundle has been written; an API server may need a moment to use it."""
    ABSENT = auto()
    """There is no such configuration, so no API server calls the webhook."""


class BundlePublisher:
    """Keeps the caBundle current, and knows for how long it has been.

    Args:
        client: With the permission to get and patch the configuration.
        configuration: Name of the MutatingWebhookConfiguration.
        settle_seconds: A new CA is trusted after it has been in the configuration for so long: the time that all API
            servers of the cluster need to see it.
    """

    def __init__(self, client: Client, configuration: str, *, settle_seconds: float) -> None:
        self._client = client
        self._configuration = configuration
        self._settle_seconds = settle_seconds
        self._published = False
        self._seen: tuple[bytes, float] | None = None
        """The bundle in the configuration, and since when, in seconds of the monotonic clock."""

    def ready(self) -> str | None:
        """Why API servers can't trust the certificate; None after the first success."""
        if self._published:
            return None
        return f"the CA is not in MutatingWebhookConfiguration {self._configuration} yet"

    def is_trusted(self, contents: CertificateSecret, _: dt.datetime) -> bool:
        """Whether this very bundle has been in the configuration for long enough."""
        if self._seen is None or self._seen[0] != contents.authorities:
            return False
        return time.monotonic() - self._seen[1] >= self._settle_seconds

    async def publish(self, bundle: bytes) -> None:
        """Write the bundle if needed. Raises KubeError, and CertificateError for a bundle that is damaged."""
        pki.read_bundle(bundle)  # a damaged bundle is never published; the next refresh repairs it
        outcome = await _publish(self._client, self._configuration, bundle)
        if outcome is PublishedBundle.WRITTEN:
            _log.info("published the CA", configuration=self._configuration)
        if outcome is PublishedBundle.ABSENT and not self._published:
            _log.warning(
                "could not publish the CA: the webhook configuration does not exist", configuration=self._configuration
            )
        if outcome is PublishedBundle.WRITTEN or self._seen is None or self._seen[0] != bundle:
            self._seen = (bundle, time.monotonic())
        self._published = True


async def _publish(client: Client, configuration: str, bundle: bytes) -> PublishedBundle:
    try:
        found = await client.get(MUTATING_WEBHOOK_CONFIGURATIONS, configuration)
    except NotFound:
        return PublishedBundle.ABSENT
    operations = bundle_patch(found, bundle)
    if not operations:
        return PublishedBundle.SEEN
    await client.json_patch(MUTATING_WEBHOOK_CONFIGURATIONS, configuration, operations)
    return PublishedBundle.WRITTEN


def bundle_patch(configuration: Json, bundle: bytes) -> list[Json]:
    """The JSON Patch that sets the bundle; empty if it is set. A configuration that has changed gives a Conflict."""
    encoded = base64.b64encode(bundle).decode()
    changes: list[Json] = [
        {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": encoded}
        for index, webhook in enumerate(configuration.get("webhooks") or [])
        if webhook["clientConfig"].get("caBundle") != encoded
    ]
    if not changes:
        return []
    version = configuration["metadata"]["resourceVersion"]
    return [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}, *changes]
